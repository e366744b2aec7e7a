/** Text of records for LaTeX: whatever it holds, it comes out as text, and nothing in it is obeyed. */

import { printable } from '@specoffload/input';

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '{': '\\{',
  '}': '\\}',
  $: '\\$',
  '&': '\\&',
  '#': '\\#',
  '%': '\\%',
  _: '\\_',
  '^': '\\textasciicircum{}',
  '~': '\\textasciitilde{}',
  '<': '\\textless{}',
  '>': '\\textgreater{}',
  '|': '\\textbar{}',
  '"': '\\textquotedblright{}',
  "'": '\\textquotesingle{}',
  '`': '\\textasciigrave{}',
  '→': '$\\to$',
  '×': '$\\times$',
  '±': '$\\pm$',
  '·': '$\\cdot$',
  '’': '\\textquoteright{}',
  '“': '\\textquotedblleft{}',
  '”': '\\textquotedblright{}',
  '–': '\\textendash{}',
  '…': '\\dots{}',
};

/** What LaTeX has a letter for without further packages; the rest is named by its number. */
const isKnownLetter = (character: string) => /[\x20-\x7e¡-ÿ]/.test(character);

export function escapeLatex(text: string): string {
  return [...printable(text.replace(/\s+/g, ' '))]
    .map((character) => {
      const known = escapes[character];
      if (known !== undefined) return known;
      if (isKnownLetter(character)) return character;
      return `[U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`;
    })
    .join('')
    .replace(/-(?=-)/g, '-{}'); // two of them would be a dash
}

/** A line that LaTeX passes over; a line feed in it would end it. */
export function commentLine(text: string): string {
  return `% ${printable(text.replace(/\s+/g, ' '))}`;
}
