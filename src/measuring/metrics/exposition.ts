/**
 * Prometheus' text format, version 0.0.4: families of samples, each with its help and its type. What the samples are is
 * for others to say.
 *
 * @module
 */

/** One value. */
export interface Sample {
  /** What follows the family's name: `_bucket`, `_sum` or `_count` of a histogram. */
  readonly suffix?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples of one name. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

/** Counts of values by their size: each of `buckets` those up to `most` that are above the one before; the last has no end. */
export interface Counts {
  readonly buckets: readonly { readonly most: number; readonly count: number }[];
  readonly sum: number;
  readonly count: number;
}

/** The samples of a histogram. */
export function histogramSamples({ buckets, sum, count }: Counts, labels: Readonly<Record<string, string>>): Sample[] {
  let below = 0;
  const samples = buckets.map(({ most, count }): Sample => {
    below += count;
    return { suffix: "_bucket", labels: { le: number(most), ...labels }, value: below };
  });
  return [...samples, { suffix: "_sum", labels, value: sum }, { suffix: "_count", labels, value: count }];
}

/** The text of families; those of one name become one, and one without samples says nothing. */
export function expositionText(families: readonly Family[]): string {
  const byName = Map.groupBy(families.filter(({ samples }) => samples.length > 0), ({ name }) => name);
  const texts = [...byName].map(([name, same]) => {
    const [{ help, kind }] = same;
    const lines = same.flatMap(({ samples }) => samples.map((one) => line(name, one)));
    return [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${kind}`, ...lines];
  });
  return texts.map((lines) => `${lines.join("\n")}\n`).join("\n");
}

function line(name: string, { suffix = "", labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`);
  return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${number(value)}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function number(value: number): string {
  return value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);
}
