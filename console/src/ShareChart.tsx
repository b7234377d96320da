import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { SharePoint } from "./api";

/** The candidate's share over time, as steps: a share holds until the next change. */
export function ShareChart({ points }: { points: SharePoint[] }) {
  const place = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const parent = place.current;
    if (!parent) return;
    const ink = getComputedStyle(parent).color;
    const last = points[points.length - 1];
    const times = [...points.map((point) => point.unix_s), Math.max(Date.now() / 1000, last?.unix_s ?? 0)];
    const shares = [...points.map((point) => point.share * 100), (last?.share ?? 0) * 100];
    const axis = { stroke: ink, grid: { stroke: "#8883", width: 1 }, ticks: { stroke: "#8883", width: 1 } };
    const chart = new uPlot(
      {
        width: parent.clientWidth,
        height: 180,
        legend: { show: false },
        cursor: { y: false },
        scales: { y: { range: [0, 105] } },
        axes: [axis, { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => `${tick} %`) }],
        series: [
          {},
          {
            label: "share",
            stroke: "#f7a440",
            fill: "#f7a44022",
            width: 2,
            paths: uPlot.paths.stepped?.({ align: 1 }),
            points: { show: true, size: 5 },
          },
        ],
      },
      [times, shares],
      parent,
    );
    const fit = new ResizeObserver(() => chart.setSize({ width: parent.clientWidth, height: 180 }));
    fit.observe(parent);
    return () => {
      fit.disconnect();
      chart.destroy();
    };
  }, [points]);

  return (
    <figure>
      <figcaption>Candidate's share over time</figcaption>
      <div ref={place} className="chart" role="img" aria-label="Candidate's share over time" />
    </figure>
  );
}
