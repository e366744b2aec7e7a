export { bestCandidates, speedOf } from './choose.js';
export { type MeasureAcceptanceOptions, type MeasuredAcceptance, measureAcceptance } from './measure.js';
export { countPositions, ratesByPosition, ratesInRounds, singleRate } from './rates.js';
export { type ReplayedSequence, replayRounds, tokensPerRound } from './replay.js';
