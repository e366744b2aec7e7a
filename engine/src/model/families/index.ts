/** The families that config.json may name. */

import type { Family } from './family.js';
import { gemma3, gemma3Text } from './gemma3.js';
import { gptOss } from './gpt-oss.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { mixtral } from './mixtral.js';
import { olmoe } from './olmoe.js';
import { qwen2 } from './qwen2.js';
import { qwen2Moe } from './qwen2-moe.js';
import { qwen3 } from './qwen3.js';
import { qwen3Moe } from './qwen3-moe.js';

export const families: readonly Family[] = [
  ...[mixtral, mistral, llama, qwen2, qwen2Moe, qwen3, qwen3Moe, olmoe],
  ...[gemma3Text, gemma3, gptOss],
];
