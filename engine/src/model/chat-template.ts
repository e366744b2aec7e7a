/** Chat templates, found as transformers finds them, and rendered in a thread that may take neither for ever nor all memory. */

import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { isRecord, maybeReadJson, maybeReadText, quote, UserError } from '@specoffload/input';
import { warnOfCheckpoint } from './config-values.js';
import { isGgufPath, readGguf } from './gguf/file.js';
import { chatTemplateOfGguf, tokenizerOfGguf } from './gguf/tokenizer.js';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** How a model wants to be talked to. */
export interface ChatTemplate {
  /** Where it stands, for messages. */
  readonly source: string;
  /** Jinja. */
  readonly text: string;
  /** `bos_token` and the like, which templates name. */
  readonly specialTokens: Readonly<Record<string, string>>;
}

/** A hundred times the longest that is published. */
const mostTemplateBytes = 1 << 21;
const mostOptionsBytes = 16_000_000;

/**
 * `chat_template.jinja`, or `chat_template` of `tokenizer_config.json` (of several the one called `default`), or what a
 * GGUF file has in their place; null when there is none.
 * @param directory of a checkpoint, or a GGUF file
 * @throws UserError when what stands there is none.
 */
export async function loadChatTemplate(directory: string): Promise<ChatTemplate | null> {
  const { source, template, options } = isGgufPath(directory)
    ? await readGgufTemplate(directory)
    : await readTemplateFiles(directory);
  const text = templateOf(template, source);
  return text === null ? null : { source, text, specialTokens: specialTokensOf(options) };
}

interface FoundTemplate {
  readonly source: string;
  readonly template: unknown;
  /** With the special tokens among them. */
  readonly options: Readonly<Record<string, unknown>>;
}

async function readTemplateFiles(directory: string): Promise<FoundTemplate> {
  const optionsPath = join(directory, 'tokenizer_config.json');
  const read = await maybeReadJson(optionsPath, mostOptionsBytes);
  const options = isRecord(read) ? read : {};
  const filePath = join(directory, 'chat_template.jinja');
  const file = await maybeReadText(filePath, mostTemplateBytes);
  if (file !== null) {
    const other = templateOf(options.chat_template, optionsPath);
    if (other !== null && other.trim() !== file.trim())
      warnOfCheckpoint(
        `${filePath} contradicts chat_template of ${optionsPath}; the former holds, as transformers 5 does`,
      );
    return { source: filePath, template: file, options };
  }
  return { source: optionsPath, template: options.chat_template, options };
}

async function readGgufTemplate(path: string): Promise<FoundTemplate> {
  const gguf = await readGguf(path);
  return { source: path, template: chatTemplateOfGguf(gguf), options: tokenizerOfGguf(gguf)?.options ?? {} };
}

function templateOf(value: unknown, source: string): string | null {
  if (value === undefined || value === null) return null;
  const named = Array.isArray(value)
    ? value.find((entry) => isRecord(entry) && entry.name === 'default')
    : null;
  const text = isRecord(named) ? named.template : value;
  if (typeof text === 'string' && text.length <= mostTemplateBytes) return text;
  throw new UserError(
    `${source}: invalid chat_template: ${quote(value)}; expected a text, or a list of {"name", "template"} with one called default; download the file again`,
  );
}

/** Each a text, or a record of which `content` is it. */
function specialTokensOf(options: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [name, value] of Object.entries(options)) {
    const text = isRecord(value) ? value.content : value;
    if (name.endsWith('_token') && typeof text === 'string') tokens[name] = text;
  }
  return tokens;
}

/** Handed to the thread. */
export interface RenderRequest {
  readonly text: string;
  /** One record of variables for each text that is wanted. */
  readonly variables: readonly Readonly<Record<string, unknown>>[];
}

export type RenderReply = { readonly rendered: readonly string[] } | { readonly error: string };

/** A hundred times what the slowest published template takes with a book of messages. */
const renderLimits = { seconds: 10, heapMegabytes: 256 };

export type RenderLimits = typeof renderLimits;

/**
 * The texts of conversations, up to where the model's reply begins; special tokens are in them as text.
 * @throws UserError when the template is none, refuses the messages, or does not come to an end.
 */
export async function renderChats(
  { source, text, specialTokens }: ChatTemplate,
  conversations: readonly (readonly ChatMessage[])[],
  limits: RenderLimits = renderLimits,
): Promise<readonly string[]> {
  // As transformers' apply_chat_template with add_generation_prompt.
  const shared = { ...specialTokens, tools: null, documents: null, add_generation_prompt: true };
  const variables = conversations.map((messages) => ({ ...shared, messages }));
  const reply = await renderInThread({ text, variables }, limits);
  if (reply !== null && 'rendered' in reply) return reply.rendered;
  if (reply === null)
    throw new UserError(
      `${source}: the chat template did not come to an end in ${limits.seconds} s and ${limits.heapMegabytes} MB; expected one that renders in moments; use the template that was published with the model`,
    );
  throw new UserError(
    `${source}: the chat template gives no text for these messages (${quote(reply.error, 200)}); expected a template in Jinja that takes them; change the messages, or use the template that was published with the model`,
  );
}

/** @returns null when time or memory was not enough */
async function renderInThread(
  request: RenderRequest,
  { seconds, heapMegabytes }: RenderLimits,
): Promise<RenderReply | null> {
  const thread = new Worker(new URL('./chat-template-worker.js', import.meta.url), {
    ...{ workerData: request, name: 'chat template' },
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<RenderReply | null>((resolve, reject) => {
      timer = setTimeout(() => resolve(null), 1000 * seconds);
      thread.on('message', resolve);
      thread.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? resolve(null) : reject(error),
      );
    });
  } finally {
    clearTimeout(timer);
    await thread.terminate();
  }
}
