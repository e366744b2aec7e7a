/** The thread in which a stranger's chat template is interpreted. */

import { parentPort, workerData } from 'node:worker_threads';
import { Template } from '@huggingface/jinja';
import { reasonOf } from '@specoffload/input';
import type { RenderReply, RenderRequest } from './chat-template.js';

/** More than any model's context holds. */
const mostCharacters = 1 << 26;

function render({ text, variables }: RenderRequest): RenderReply {
  try {
    const rendered = new Template(text).render({ ...variables });
    if (rendered.length <= mostCharacters) return { rendered };
    return { error: `it makes ${rendered.length} characters of them` };
  } catch (error) {
    return { error: reasonOf(error) };
  }
}

parentPort?.postMessage(render(workerData as RenderRequest));
