export { cellOutput, runState, runsState, storeOf, sweepState } from './cell-output.js';
export { type BusyDevice, measuredDevices } from './measured-devices.js';
export { describeDecode, joinWords } from './sentences.js';
