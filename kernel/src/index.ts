/**
 * The Jupyter side of the lab. Empty so far: the workspace holds its place in the build, and nothing imports it yet.
 */
export {};
