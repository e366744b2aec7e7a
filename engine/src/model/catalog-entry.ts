/** A model of the catalogue. */

export interface CatalogEntry {
  /** The repository on huggingface.co whose config.json it is. */
  readonly source: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The usual draft, by its name here; null where none shares its vocabulary. */
  readonly draft: string | null;
  /**
   * What records name it by, of entries that were first written down with fields in another order.
   * @default a digest of the spec
   */
  readonly digest?: string;
}
