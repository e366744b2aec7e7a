/** The cell that holds a notebook's parameters, what it declares, and the cell after it that overrides it. */

import { NotebookError } from '../errors.js';
import { requireFromKernel } from '../packages.js';
import { type Cell, type CodeCell, createCellId, hasTag, type Notebook } from './format.js';
import { type ParameterValue, toTypeScript, WrittenValue } from './literal.js';

export type Parameters = Readonly<Record<string, ParameterValue | WrittenValue>>;

interface Declaration {
  readonly name: string;
  /** As written after the colon; empty if nothing is. */
  readonly type: string;
  /** Whether its type, or else its default, is text; null may be allowed beside it. */
  readonly isText: boolean;
}

const parametersTag = 'parameters';
const injectedTag = 'injected-parameters';

/**
 * Mutates `notebook`. A cell that an earlier run has injected is replaced, or taken away when there is no need for one.
 * @returns the parameters as values: words read as what the notebook declares
 */
export function injectParameters(
  notebook: Notebook,
  parameters: Parameters,
): Readonly<Record<string, ParameterValue>> {
  notebook.cells = notebook.cells.filter((cell) => !hasTag(cell, injectedTag));
  if (Object.keys(parameters).length === 0) return {};
  const index = notebook.cells.findIndex((cell) => cell.cell_type === 'code' && hasTag(cell, parametersTag));
  const declared = index < 0 ? [] : findDeclarations(notebook.cells[index]);
  assertDeclared(Object.keys(parameters), declared);
  const values = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => {
      const { isText } = declared.find((declaration) => declaration.name === name)!;
      return [name, read(name, value, isText)];
    }),
  );
  notebook.cells.splice(index + 1, 0, createInjectedCell(values, declared, index + 1));
  return values;
}

/** The notebook as it was written: in place of its author's file no parameters of one run may be kept. */
export function withoutInjected(notebook: Notebook): Notebook {
  return { ...notebook, cells: notebook.cells.filter((cell) => !hasTag(cell, injectedTag)) };
}

function assertDeclared(names: readonly string[], declared: readonly Declaration[]): void {
  const unknown = names.filter((name) => !declared.some((declaration) => declaration.name === name));
  if (unknown.length === 0) return;
  const which = `unknown parameter${unknown.length === 1 ? '' : 's'}: ${unknown.join(', ')}`;
  throw new NotebookError(
    declared.length === 0
      ? `${which}; the notebook declares none (no code cell has the tag "${parametersTag}")`
      : `${which}; the notebook declares ${declared.map(({ name }) => name).join(', ')}`,
  );
}

/** `let`, so that `quick` has the type boolean and not the type true. */
function createInjectedCell(
  parameters: Readonly<Record<string, ParameterValue>>,
  declared: readonly Declaration[],
  index: number,
): CodeCell {
  const lines = Object.entries(parameters).map(([name, value]) => {
    const { type } = declared.find((declaration) => declaration.name === name)!;
    return `let ${name}${type === '' ? '' : `: ${type}`} = ${toTypeScript(value)};`;
  });
  const source = ['// Parameters of this run', ...lines].join('\n');
  return {
    cell_type: 'code',
    id: createCellId(source, index),
    metadata: { tags: [injectedTag] },
    source,
    execution_count: null,
    outputs: [],
  };
}

function read(name: string, value: ParameterValue | WrittenValue, isText: boolean): ParameterValue {
  if (!(value instanceof WrittenValue)) return value;
  return isText && value.text !== 'null' ? value.toText() : value.toValue(name);
}

/** `string`, `string | null`, or either with undefined. */
const textType = /^string( *\| *(null|undefined))*$/;

/** What a cell declares at its top level, found by the parser that the kernel uses too. */
function findDeclarations(cell: Cell): Declaration[] {
  const ts = requireFromKernel('@tslab/typescript-for-tslab') as TypeScript;
  const file = ts.createSourceFile('parameters.ts', cell.source, ts.ScriptTarget.Latest, true);
  return file.statements
    .flatMap((statement) => (ts.isVariableStatement(statement) ? statement.declarationList.declarations : []))
    .filter(({ name }) => ts.isIdentifier(name))
    .map(({ name, type, initializer }) => ({
      name: name.getText(file),
      type: type?.getText(file) ?? '',
      isText: type
        ? textType.test(type.getText(file))
        : initializer !== undefined && ts.isStringLiteralLike(initializer),
    }));
}

/** The little that is needed of tslab's TypeScript, which is not a package of ours. */
interface TypeScript {
  readonly ScriptTarget: { readonly Latest: number };
  createSourceFile(name: string, text: string, target: number, setParents: boolean): SourceFile;
  isVariableStatement(node: SyntaxNode): node is VariableStatement;
  isIdentifier(node: SyntaxNode): boolean;
  isStringLiteralLike(node: SyntaxNode): boolean;
}
interface SyntaxNode {
  getText(file: SourceFile): string;
}
interface SourceFile extends SyntaxNode {
  readonly statements: readonly SyntaxNode[];
}
interface VariableStatement extends SyntaxNode {
  readonly declarationList: {
    readonly declarations: readonly {
      readonly name: SyntaxNode;
      readonly type?: SyntaxNode;
      readonly initializer?: SyntaxNode;
    }[];
  };
}
