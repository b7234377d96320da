import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Built into the Python package, so that one wheel holds everything.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: { outDir: "../src/crossfade/console", emptyOutDir: true },
});
