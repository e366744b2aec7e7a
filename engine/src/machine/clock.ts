/** Seconds on the clock that all threads and the native core share. */
export function nowSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}
