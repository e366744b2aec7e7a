/** The other programs of the comparison, as they are asked for by name. */

export const legNames = ['llama.cpp', 'llama.cpp-same-memory', 'accelerate'] as const;

export type LegName = (typeof legNames)[number];
