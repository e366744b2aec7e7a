export { createTunnel, type TunnelOptions } from './create.js';
export { withDraftSpeed } from './measure.js';
export { isTunnelName, openOrCreateTunnel } from './named.js';
export { openTunnel, parseTunnel, type Tunnel } from './tunnel-file.js';
