/**
 * Packages that cells have imported stay imported, by the cell and by what was declared before it, in one order. Then
 * TypeScript finds that a program is made of the files of the one before, and looks through none of hundreds again.
 */

import { isBuiltin } from 'node:module';
import { isPackageFile } from '../packages.js';
import type { SourceFile, SyntaxNode, TypeScript } from './syntax.js';

export interface SharedImports {
  /** Mutates the files, of which no program has been made. @param files a cell, and what was declared before it */
  share(files: readonly SourceFile[]): void;
  /** Once a program has been made of it. */
  keep(cell: SourceFile): void;
}

/** TypeScript's flag of a file in which `import(…)` may stand. */
const mayImportLater = 2097152;

export function createSharedImports(ts: TypeScript): SharedImports {
  let packages: string[] = [];
  return {
    share(files) {
      const importsOf = files.map((file) => listImports(ts, file));
      // A notebook begins, which sees nothing of what others have imported.
      if (files.slice(1).every(({ statements }) => statements.length <= 1)) packages = [];
      const all = importsOf.every((imports) => imports !== null)
        ? [...new Set([...packages, ...importsOf.flatMap((imports) => [...imports.keys()])])]
        : null;
      packages = all ?? [];
      files.forEach((file, index) => {
        if (all === null || file.imports !== undefined) return;
        file.imports = all.map((name) => importsOf[index]!.get(name) ?? createImport(ts, name, file));
        file.moduleAugmentations = [];
        file.ambientModuleNames = [];
        // What makes files differ that is of no importance once its imports are known.
        file.flags |= mayImportLater;
      });
    },
    keep({ resolvedModules }) {
      packages = packages.filter((name) => {
        const { resolvedModule } = resolvedModules?.get(name, undefined) ?? {};
        return resolvedModule === undefined
          ? isBuiltin(name)
          : isPackageFile(resolvedModule.resolvedFileName);
      });
    },
  };
}

/** The literals that name modules, by name; null where there is more than to import and to export. */
function listImports(ts: TypeScript, file: SourceFile): Map<string, SyntaxNode> | null {
  const imports = new Map<string, SyntaxNode>();
  const note = (literal: SyntaxNode | undefined): void => {
    if (literal !== undefined && ts.isStringLiteralLike(literal)) imports.set(literal.text, literal);
  };
  for (const statement of file.statements) {
    if (ts.isImportEqualsDeclaration(statement) || ts.isModuleDeclaration(statement)) return null;
    if (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement))
      note(statement.moduleSpecifier);
  }
  // `import(…)`, of values and of types.
  const visit = (node: SyntaxNode): void => {
    if (ts.isImportCall(node)) note(node.arguments[0]);
    else if (ts.isLiteralImportTypeNode(node)) note(node.argument.literal);
    ts.forEachChild(node, visit);
  };
  if ((file.flags & mayImportLater) !== 0) visit(file);
  return imports.has('') ? null : imports;
}

/** Of a module that this file does not name itself. */
function createImport(ts: TypeScript, name: string, file: SourceFile): SyntaxNode {
  const literal = ts.factory.createStringLiteral(name);
  const declaration = ts.factory.createImportDeclaration(undefined, undefined, literal);
  return Object.assign(literal, { parent: Object.assign(declaration, { parent: file }) });
}
