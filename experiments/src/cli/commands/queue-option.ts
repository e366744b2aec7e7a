/** The flag that names a queue. */

export const queueHelp = 'a Redis server: redis://host:port, rediss://host:port or unix:///path/to/socket';
