export { type AcceptanceSeries, acceptanceByPosition } from './acceptance-by-position.js';
export { type DeviceTime, deviceTime } from './device-time.js';
export { type EnergyOfRun, energyByPart } from './energy-by-part.js';
export { type ExpectedTokensOptions, expectedTokensCurves } from './expected-tokens.js';
export { type HeatMapOptions, heatMap } from './heat-map.js';
export { type KernelTime, kernelTime } from './kernel-time.js';
export { type LaneTimelineOptions, laneTimeline } from './lane-timeline.js';
export { type LaneShares, laneUtilisation } from './lane-utilisation.js';
export { memoryOverTime, type PoolSeries } from './memory-over-time.js';
export { type Panel, type PanelsOptions, panels } from './panels.js';
export type { FigureRow } from './points.js';
export {
  type PredictedPair,
  type PredictedVsMeasuredOptions,
  predictedVsMeasured,
} from './predicted-vs-measured.js';
export { type RatioLine, ratioTable } from './ratio-table.js';
export { type SearchObjective, type SearchPoint, searchCourse, searchFront } from './search-course.js';
export { type SweepCurvesOptions, sweepCurves } from './sweep-curves.js';
export type { Titles } from './theme.js';
export { type ThroughputBarsOptions, throughputBars } from './throughput-bars.js';
