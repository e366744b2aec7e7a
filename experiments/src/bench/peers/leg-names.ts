/** The legs beside the lab's own, as they are asked for by name: the lab with weights as bf16, and other programs. */

export const legNames = ['specoffload-bf16', 'llama.cpp', 'llama.cpp-same-memory', 'accelerate'] as const;

export type LegName = (typeof legNames)[number];
