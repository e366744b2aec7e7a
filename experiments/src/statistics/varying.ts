/** Settings that vary where no axis says so: they become axes, so that no table takes two points for one. */

import { canonicalJson, type Json } from '../store/canonical.js';
import type { PointRecord, RunRecord } from '../store/index.js';
import type { SettingValue } from '../store/record.js';

/**
 * The records, their axes completed by every setting that differs between two records of the same experiment with the
 * same axes: runs of an experiment whose settings were changed meanwhile stay apart, and say by what.
 */
export function nameVaryingSettings<Run extends RunRecord>(records: readonly Run[]): readonly Run[] {
  const names = varyingSettings(records);
  return names.length === 0 ? records : records.map((record) => withAxes(record, names));
}

/** The record with these settings among its axes. */
export function withAxes<Run extends RunRecord>(record: Run, names: readonly string[]): Run {
  const { point } = record;
  if (point === undefined) return record;
  const own = names.map((name) => [name, settingOf(point, name)] as const);
  return { ...record, point: { ...point, axes: { ...point.axes, ...Object.fromEntries(own) } } };
}

function varyingSettings(records: readonly RunRecord[]): string[] {
  const first = new Map<string, PointRecord>();
  const names = new Set<string>();
  for (const { point, kind } of records) {
    if (point === undefined) continue;
    const axes = canonicalJson([point.experiment, kind, point.axes] as Json);
    const other = first.get(axes);
    if (other === undefined) first.set(axes, point);
    else if (other.settings !== point.settings)
      for (const name of Object.keys({ ...other.settings, ...point.settings }))
        if (!isSame(other.settings[name], point.settings[name])) names.add(name);
  }
  return [...names].sort();
}

export function settingOf({ settings }: PointRecord, name: string): SettingValue {
  return settings[name] ?? 'not set';
}

function isSame(a: SettingValue | undefined, b: SettingValue | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
