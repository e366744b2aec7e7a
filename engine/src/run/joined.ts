/** Answers of several commands, one behind the other. */
export function joined<Values extends Float32Array | Int32Array>(
  parts: readonly Values[],
  Values: new (length: number) => Values,
): Values {
  const [only] = parts;
  if (parts.length === 1 && only) return only;
  const values = new Values(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return values;
}
