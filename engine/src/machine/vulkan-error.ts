/** What Vulkan refuses is for whoever asked: a message, not a stack. */

import { UserError } from '@specoffload/input';

export function toUserError(error: unknown): unknown {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return code === 'VULKAN' ? new UserError(String(message), { cause: error }) : error;
}
