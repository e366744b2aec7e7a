/** What people type as token ids: as it is, or as messages in the words of the model's chat template. */

import {
  type ChatMessage,
  type ChatTemplate,
  loadChatTemplate,
  renderChats,
  type Tokenizer,
} from '@specoffload/engine';
import { UserError } from '@specoffload/input';

/** Texts to token ids, all at once. */
export type EncodeTexts = (texts: readonly string[]) => Promise<readonly (readonly number[])[]>;

export interface Speaker {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

/** @throws UserError when the model has no template. */
export async function openChatTemplate(directory: string): Promise<ChatTemplate> {
  const template = await loadChatTemplate(directory);
  if (template) return template;
  throw new UserError(
    `${directory} has no chat template; expected chat_template.jinja, or chat_template in tokenizer_config.json; leave out --chat to have the text continued as it is, or add the file that was published with the model`,
  );
}

/** Conversations as the model wants to read them: the template writes special tokens itself. */
export async function encodeConversations(
  { tokenizer, template }: Speaker,
  conversations: readonly (readonly ChatMessage[])[],
): Promise<readonly (readonly number[])[]> {
  const texts = await renderChats(template, conversations);
  return texts.map((text) => tokenizer.encode(text, false));
}

/** Each text as what a user says first. @param system what a system's message says before; null: none */
export function asFirstMessages(speaker: Speaker, system: string | null): EncodeTexts {
  const before = system === null ? [] : [{ role: 'system', content: system }];
  return (texts) =>
    encodeConversations(
      speaker,
      texts.map((content) => [...before, { role: 'user', content }]),
    );
}
