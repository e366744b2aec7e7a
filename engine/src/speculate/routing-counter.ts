/** Which experts a run's rows went to while it decoded: what a prediction of the same texts can go by. */

export interface RoutingReport {
  /** Rows of a micro-batch in a pass, on average. */
  readonly rowsPerPass: number;
  /** By layer: how many experts those went to, on average; 1 where there is no choice. */
  readonly distinctPerPass: readonly number[];
  /** (layer, expert): rows in all; of a layer without a choice, one number. */
  readonly rowsByExpert: readonly (readonly number[])[];
}

interface LayerCount {
  passes: number;
  distinct: number;
  readonly rows: number[];
}

export class RoutingCounter {
  readonly #layers: LayerCount[] = [];
  readonly #expertsPerToken: readonly number[];

  /** @param expertsPerToken by layer */
  constructor(expertsPerToken: readonly number[]) {
    this.#expertsPerToken = expertsPerToken;
  }

  /** A micro-batch has passed a layer's router. */
  count(layer: number, rowsPerExpert: readonly number[]): void {
    this.#layers[layer] ??= { passes: 0, distinct: 0, rows: rowsPerExpert.map(() => 0) };
    const own = this.#layers[layer];
    own.passes += 1;
    for (const [expert, rows] of rowsPerExpert.entries()) {
      own.rows[expert] += rows;
      if (rows > 0) own.distinct += 1;
    }
  }

  /** Null where there was nothing to choose. */
  report(): RoutingReport | null {
    const layers = this.#expertsPerToken.map((_, layer) => this.#layers[layer] ?? nothing);
    const which = layers.findIndex(({ rows }) => rows.length > 1);
    if (which < 0) return null;
    const chosen = layers[which].rows.reduce((sum, rows) => sum + rows, 0);
    return {
      rowsPerPass: chosen / this.#expertsPerToken[which] / layers[which].passes,
      distinctPerPass: layers.map(({ distinct, passes }) => distinct / Math.max(1, passes)),
      rowsByExpert: layers.map(({ rows }) => rows),
    };
  }
}

const nothing: LayerCount = { passes: 0, distinct: 0, rows: [0] };
