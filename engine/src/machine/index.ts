export * from './arithmetic.js';
export type { Budgets } from './budgets.js';
export * from './cost-model.js';
export { type DeviceChoice, deviceKinds } from './devices.js';
export * from './formats.js';
export * from './machine-file.js';
export * from './machine-model.js';
export * from './rates.js';
export * from './topology.js';
