import { useEffect, useRef } from "react";
import uPlot from "uplot";
import type { Series } from "./series";

export interface Line {
  readonly label: string;
  readonly colour: string; // a custom property of the style sheet
  readonly isStepped: boolean;
}

interface PlotProps {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  readonly series: Series;
  readonly span: readonly [number, number];
  readonly marks: readonly number[];
  readonly top: number; // least top of the value axis
}

const HEIGHT = 150;

/** One plot over time. It is made once and fed, so that a cursor on it survives the news. */
export function Plot({ title, unit, lines, series, span, marks, top }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const made = useRef<uPlot | null>(null);
  const shown = useRef({ span, marks, top });
  shown.current = { span, marks, top };

  useEffect(() => {
    const parent = place.current;
    if (!parent) return;
    const plot = new uPlot(optionsOf(parent, unit, lines, shown), [[], ...lines.map(() => [])], parent);
    made.current = plot;
    const fit = new ResizeObserver(() => plot.setSize({ width: parent.clientWidth, height: HEIGHT }));
    fit.observe(parent);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => plot.redraw();
    scheme.addEventListener("change", repaint);
    return () => {
      scheme.removeEventListener("change", repaint);
      fit.disconnect();
      plot.destroy();
      made.current = null;
    };
  }, [lines, unit]);

  useEffect(() => {
    made.current?.setData([series.times, ...series.values] as uPlot.AlignedData);
  }, [series, span, marks]);

  const isEmpty = series.values.every((values) => values.every((value) => value === null));
  return (
    <figure>
      <figcaption>
        {title}
        {lines.length > 1 &&
          lines.map((line) => (
            <span key={line.label} className="key">
              <i style={{ background: `var(${line.colour})` }} aria-hidden="true" /> {line.label}
            </span>
          ))}
        {marks.length > 0 && (
          <span className="key">
            <i className="rollback" aria-hidden="true" /> rollback
          </span>
        )}
      </figcaption>
      {isEmpty && <p className="quiet">Too few requests to tell yet.</p>}
      <div ref={place} hidden={isEmpty} role="img" aria-label={`${title} over time, ${lastOf(series, lines, unit)}`} />
    </figure>
  );
}

function lastOf(series: Series, lines: readonly Line[], unit: string): string {
  return lines
    .map((line, index) => {
      const value = series.values[index]?.findLast((one) => one !== null);
      return `${line.label} now ${value === undefined || value === null ? "unknown" : `${Number(value.toFixed(2))} ${unit}`}`;
    })
    .join(", ");
}

type Shown = React.RefObject<{ span: readonly [number, number]; marks: readonly number[]; top: number }>;

function optionsOf(parent: HTMLElement, unit: string, lines: readonly Line[], shown: Shown): uPlot.Options {
  const ink = (name: string) => () => getComputedStyle(parent).getPropertyValue(name);
  const axis = {
    stroke: ink("--soft"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: ink("--line"), width: 1 },
    ticks: { stroke: ink("--line"), width: 1, size: 4 },
  };
  return {
    width: parent.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, sync: { key: "time" } },
    scales: {
      x: { range: () => [...shown.current.span] as [number, number] },
      y: { range: (_, __, high) => [0, Math.max(shown.current.top, (high ?? 0) * 1.1) * 1.04] },
    },
    axes: [
      { ...axis, size: 26, values: "{HH}:{mm}:{ss}", space: 80 },
      { ...axis, size: 50, space: 32, values: (_, ticks) => ticks.map((tick) => `${tick} ${unit}`) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: ink(line.colour),
        width: 2,
        spanGaps: true,
        ...(line.isStepped ? { paths: uPlot.paths.stepped?.({ align: 1 }) } : {}),
        points: { show: false },
      })),
    ],
    hooks: { draw: [(plot) => drawMarks(plot, shown.current.marks, ink("--bad")())] },
  };
}

function drawMarks(plot: uPlot, marks: readonly number[], colour: string) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio * 1.5;
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const mark of marks) {
    const x = plot.valToPos(mark, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
