export { type QueueOptions, queueRunner } from './queue-runner.js';
