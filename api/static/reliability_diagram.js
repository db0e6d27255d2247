/** The reliability diagram: how often answers are right by how sure they are. */

import { svg } from "./dom.js";
import { numberFormat, text } from "./texts.js";

const PERCENT = numberFormat({ style: "percent", maximumFractionDigits: 2 });

const WIDTH = 480; // of the plot, in units of the drawing
const HEIGHT = 300;
const MARGIN = { start: 56, end: 20, top: 12, bottom: 48 };
const RADIUS = 6;
const TICKS = [0.5, 0.8, 0.9, 0.97, 0.99, 0.997, 0.999, 0.9999]; // of confidence
const HIGHEST = 0.9999; // more sure answers are drawn there
const LINES = 5; // of accuracy
const STEPS = 60; // of the curve of perfect calibration

/**
 * An SVG. groups: of rising confidence, with confidence and accuracy (0 to 1), and perhaps accuracy_interval.
 *
 * Confidence is on an axis of log-odds, because most answers of a good model are close to 1.
 */
export function reliabilityDiagram(groups) {
  const logit = (share) => Math.log(share / (1 - share));
  const clipped = (share) => Math.min(Math.max(share, 0.5), HIGHEST);
  const most = clipped(Math.max(...groups.map(({ confidence }) => confidence)));
  const last = TICKS.find((tick) => tick >= most);
  const interval = ({ accuracy, accuracy_interval: ends }) => ends ?? [accuracy, accuracy];
  const from = Math.min(0.5, Math.floor(10 * Math.min(...groups.map((group) => interval(group)[0]))) / 10);
  const x = (share) => MARGIN.start + (logit(clipped(share)) / logit(last)) * WIDTH;
  const y = (share) => MARGIN.top + ((1 - share) / (1 - from)) * HEIGHT;
  const perfect = Array.from({ length: STEPS + 1 }, (_, step) => {
    const share = 1 / (1 + Math.exp((-logit(last) * step) / STEPS));
    return `${x(share)},${y(share)}`;
  });
  return svg(
    "svg",
    {
      class: "diagram",
      viewBox: `0 0 ${MARGIN.start + WIDTH + MARGIN.end} ${MARGIN.top + HEIGHT + MARGIN.bottom}`,
      role: "img",
      "aria-label": text("model.diagramAlt", { count: groups.length }),
    },
    Array.from({ length: LINES + 1 }, (_, line) => from + ((1 - from) * line) / LINES).flatMap((share) => [
      svg("line", { class: "grid", x1: x(0.5), x2: x(last), y1: y(share), y2: y(share) }),
      svg("text", { x: x(0.5) - 8, y: y(share) + 4, "text-anchor": "end" }, PERCENT.format(share)),
    ]),
    TICKS.filter((share) => share <= last).flatMap((share) => [
      svg("line", { class: "grid", x1: x(share), x2: x(share), y1: y(from), y2: y(1) }),
      svg("text", { x: x(share), y: y(from) + 20, "text-anchor": "middle" }, PERCENT.format(share)),
    ]),
    svg(
      "text",
      { x: MARGIN.start + WIDTH / 2, y: y(from) + 42, "text-anchor": "middle" },
      text("model.confidence"),
    ),
    svg(
      "text",
      { transform: `translate(12 ${y((1 + from) / 2)}) rotate(-90)`, "text-anchor": "middle" },
      text("model.rightShare"),
    ),
    svg("polyline", { class: "perfect", points: perfect.join(" ") }),
    groups.flatMap((group) => {
      const [at, [low, high]] = [x(group.confidence), interval(group)];
      return [
        svg("line", { class: "interval", x1: at, x2: at, y1: y(low), y2: y(high) }),
        svg("circle", { class: "dot", cx: at, cy: y(group.accuracy), r: RADIUS }),
      ];
    }),
  );
}
