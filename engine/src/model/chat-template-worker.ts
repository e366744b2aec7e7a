/** The thread in which a stranger's chat template is interpreted. */

import { parentPort, workerData } from 'node:worker_threads';
import { Template } from '@huggingface/jinja';
import { reasonOf } from '@specoffload/input';
import type { RenderReply, RenderRequest } from './chat-template.js';

/** Of all texts together. */
const mostCharacters = 1 << 27;

function render({ text, variables }: RenderRequest): RenderReply {
  try {
    const template = new Template(text);
    const rendered: string[] = [];
    let characters = 0;
    for (const one of variables) {
      rendered.push(template.render({ ...one }));
      characters += rendered.at(-1)?.length ?? 0;
      if (characters > mostCharacters)
        return { error: `it makes more than ${mostCharacters} characters of them` };
    }
    return { rendered };
  } catch (error) {
    return { error: reasonOf(error) };
  }
}

parentPort?.postMessage(render(workerData as RenderRequest));
