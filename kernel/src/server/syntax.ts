/** The little that the kernel needs of tslab's TypeScript, which is no package of ours and brings no types here. */

import type { System } from './resolution.js';

export interface TypeScript {
  readonly version: string;
  readonly sys: System;
  readonly ScriptTarget: { readonly Latest: number };
  readonly factory: NodeFactory;
  createSourceFile(name: string, text: string, target: number | object, setParents?: boolean): SourceFile;
  createProgram(files: readonly string[], options: object, host: object): { emit(): unknown };
  forEachChild(node: SyntaxNode, visit: (child: SyntaxNode) => void): void;
  visitEachChild<T extends SyntaxNode>(
    node: T,
    visit: (child: SyntaxNode) => SyntaxNode,
    context: unknown,
  ): T;
  isAwaitExpression(node: SyntaxNode): boolean;
  isForOfStatement(node: SyntaxNode): node is ForOfStatement;
  isShorthandPropertyAssignment(node: SyntaxNode): node is ShorthandProperty;
  isImportDeclaration(node: SyntaxNode): node is ModuleReference;
  isExportDeclaration(node: SyntaxNode): node is ModuleReference;
  isImportEqualsDeclaration(node: SyntaxNode): boolean;
  isModuleDeclaration(node: SyntaxNode): boolean;
  isStringLiteralLike(node: SyntaxNode): node is StringLiteral;
  isImportCall(node: SyntaxNode): node is ImportCall;
  isLiteralImportTypeNode(node: SyntaxNode): node is ImportType;
  getEmitScriptTarget(options: object): number;
  getSetExternalModuleIndicator(options: object): unknown;
  transpileModule(text: string, options: { readonly compilerOptions: object }): Transpiled;
  createWatchCompilerHost(
    files: unknown,
    options: object,
    system: unknown,
    createProgram: unknown,
    ...rest: unknown[]
  ): WatchHost;
  createAbstractBuilder(...args: unknown[]): Builder;
  bindSourceFile(file: SourceFile, options: object): void;
  createWatchProgram(host: WatchHost): unknown;
}

export interface SyntaxNode {
  /** Offset behind its last character. */
  readonly end: number;
  getText(file: SyntaxNode): string;
}

export interface SourceFile extends SyntaxNode {
  readonly fileName: string;
  readonly path: string;
  flags: number;
  readonly statements: readonly SyntaxNode[];
  /** The names that it declares, once it is bound. */
  readonly locals?: ReadonlyMap<string, unknown>;
  /** What of other modules it names, once a program has looked for it. */
  hasNoDefaultLib?: boolean;
  imports?: readonly SyntaxNode[];
  moduleAugmentations?: readonly SyntaxNode[];
  ambientModuleNames?: readonly string[];
  /** Of syntax alone. */
  readonly parseDiagnostics: readonly SyntaxDiagnostic[];
  readonly resolvedModules?: {
    get(name: string, mode: undefined): Resolution | undefined;
    forEach(visit: (resolution: Resolution) => void): void;
  };
}

export interface Resolution {
  readonly resolvedModule?: ResolvedModule;
}

export interface ResolvedModule {
  readonly resolvedFileName: string;
}

export interface Program {
  getSourceFile(name: string): SourceFile | undefined;
  getSourceFiles(): readonly SourceFile[];
}

/** What a program asks for its files. */
export interface ProgramHost {
  toPath(name: string): string;
  getSourceFileByPath(name: string, path: string, options: object): SourceFile;
  /** Of a file that is part of the program no longer. */
  onReleaseOldSourceFile(file: SourceFile, ...rest: unknown[]): void;
}

export interface SyntaxDiagnostic {
  readonly code: number;
  readonly start: number;
}

export interface ForOfStatement extends SyntaxNode {
  readonly awaitModifier?: SyntaxNode;
  readonly initializer: SyntaxNode;
  readonly expression: SyntaxNode;
  readonly statement: SyntaxNode;
}

export interface StringLiteral extends SyntaxNode {
  readonly text: string;
}

/** `import … from '…'`, `export … from '…'`. */
export interface ModuleReference extends SyntaxNode {
  readonly moduleSpecifier?: SyntaxNode;
}

export interface ImportCall extends SyntaxNode {
  readonly arguments: readonly SyntaxNode[];
}

export interface ImportType extends SyntaxNode {
  readonly argument: { readonly literal: SyntaxNode };
}

export interface ShorthandProperty extends SyntaxNode {
  readonly name: SyntaxNode;
}

interface NodeFactory {
  createIdentifier(name: string): SyntaxNode;
  createStringLiteral(text: string): SyntaxNode;
  createImportDeclaration(modifiers: undefined, clause: undefined, module: SyntaxNode): SyntaxNode;
  createPropertyAccessExpression(of: SyntaxNode, name: string): SyntaxNode;
  createCallExpression(callee: SyntaxNode, types: undefined, args: readonly SyntaxNode[]): SyntaxNode;
  updateForOfStatement(
    node: ForOfStatement,
    awaitModifier: SyntaxNode,
    initializer: SyntaxNode,
    expression: SyntaxNode,
    statement: SyntaxNode,
  ): SyntaxNode;
}

export type Transformer = (context: unknown) => (file: SourceFile) => SourceFile;

export interface Transformers {
  readonly after?: readonly Transformer[];
}

export interface Builder {
  getProgram(): Program;
  getProgramOrUndefined(): Program | undefined;
  getCompilerOptions(): object;
  getSourceFile(name: string): SourceFile | undefined;
  getAllDependencies(file: SourceFile): readonly string[];
  emit(
    file: unknown,
    write: unknown,
    token: unknown,
    onlyTypes: unknown,
    transformers: Transformers,
  ): unknown;
}

export interface WatchHost {
  afterProgramCreate(builder: Builder): void;
}

export interface Transpiled {
  readonly outputText: string;
  readonly sourceMapText?: string;
}
