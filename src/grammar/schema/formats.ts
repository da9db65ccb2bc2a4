/**
 * The formats of strings that are enforced, as regular expressions. What a format leaves open is narrowed to what every validator
 * takes: a string that is allowed is valid, and a few valid ones are never written. Where a format is not to be met, it is widened
 * to what any validator might take.
 *
 * @module
 */

/** A format: what a whole string matches, what it must not match, and how many characters it may have. */
export interface FormatSource {
  readonly source: string;
  /** What is in the format for the most lenient of validators. */
  readonly wide: string;
  readonly but: readonly string[];
  readonly most: number;
}

const anything = "[^]*";
const leapDay = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29";
const otherDay = "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])" +
  "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))";
const date = `(?:${leapDay}|${otherDay})`;
const time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const hostname = `${label}(?:\\.${label})*`;
/** Behind the sign of a mail address, where most validators want a point. */
const domain = `${label}(?:\\.${label})+`;
const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const ipv4 = `${octet}(?:\\.${octet}){3}`;
const word = "[0-9A-Fa-f]{1,4}";
/** Eight words, or fewer with one gap. */
const ipv6 = `(?:(?:${word}:){7}${word}|(?:${word}:){1,7}:|:(?::${word}){1,7}|::|${
  [1, 2, 3, 4, 5, 6].map((before) => `(?:${word}:){${before}}(?::${word}){1,${7 - before}}`).join("|")
})`;
const periods = "(?:[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?|[0-9]{1,9}M(?:[0-9]{1,9}D)?|[0-9]{1,9}D)";
const clock = "T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S)";
const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const localPart = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-\\u{a0}-\\u{d7ff}\\u{10000}-\\u{1fffd}]+";
const percent = "%[0-9A-Fa-f]{2}";
const unreserved = "A-Za-z0-9._~!$&'()*+,;=\\-";
/** Letters and signs of other scripts that an IRI may have. */
const scripts = "\\u{a0}-\\u{d7ff}\\u{f900}-\\u{fdcf}\\u{fdf0}-\\u{ffef}\\u{10000}-\\u{1fffd}\\u{20000}-\\u{2fffd}";

/** References of RFC 3986, or with other scripts of RFC 3987: whole ones, any, and what may follow a host and its slash. */
function references(letters: string): Readonly<Record<"whole" | "any" | "behindHost", string>> {
  const part = (more: string) => `(?:[${letters}${more}]|${percent})`;
  const authority = `(?:${part(":")}*@)?(?:\\[${ipv6}\\]|${part("")}*)(?::[0-9]{0,5})?`;
  const path = `${part(":@/")}*`;
  const behind = `(?:\\?${part(":@/?")}*)?(?:#${part(":@/?")}*)?`;
  const network = `//${authority}(?:/${path})?`;
  const absolute = `/(?:${part(":@")}${path})?`;
  // The first segment of a relative path has no colon, which would end a scheme.
  const relative = `(?:${part("@")}+(?:/${path})?)?`;
  const whole = `[A-Za-z][A-Za-z0-9+.-]*:(?:${network}|${absolute}|${part(":@")}${path})${behind}`;
  return { whole, any: `(?:${whole}|(?:${network}|${absolute}|${relative})${behind})`, behindHost: `${path}${behind}` };
}

const uri = references(unreserved);
const iri = references(unreserved + scripts);
const pointer = "(?:/(?:[^/~]|~[01])*)*";
const variableName = `(?:[A-Za-z0-9_]|${percent})+`;
const variable = `${variableName}(?::[1-9][0-9]{0,3}|\\*)?`;
const page = "[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*";
const version = "(?:0|[1-9][0-9]{0,8})";
const build = "[0-9A-Za-z-]+";
const release = `(?:${version}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
const noPunycode = "[^]*@(?:[^]*\\.)?..--[^]*";

/** Runs of characters in a set, of which the first comes before the last. */
const run = ["az", "AZ", "09"].flatMap(([first, last]) =>
  Array.from({ length: last.charCodeAt(0) - first.charCodeAt(0) }, (_, index) => {
    const begin = first.charCodeAt(0) + index;
    return `${String.fromCharCode(begin)}-[${String.fromCharCode(begin + 1)}-${last}]`;
  })
).join("|");
const member = `(?:[A-Za-z0-9 _.,;:!@#%+*?(){}$<>="'/]|\\\\[dDwWsS\\\\\\]\\[.^-]|${run})`;
const letter = "(?:[A-Za-z0-9 _,;:!@#%&<>=\"'~`/-]|\\\\[dDwWsS.*+?()\\[\\]{}|^$\\\\/tnrfv])";
const counted = "\\{(?:[0-9]{1,3},?|0,[0-9]{1,3}|1,[1-9][0-9]{0,2}|[2-9],[1-9][0-9]{1,2})\\}";

/** Expressions that say the same in ECMAScript and elsewhere, with groups that lie so deep at most. */
function expressions(depth: number): string {
  const atom = `(?:${letter}|\\.|\\[\\^?${member}+-?\\]${
    depth > 0 ? `|\\((?:\\?:)?${expressions(depth - 1)}\\)` : ""
  })`;
  const sequence = `(?:[\\^$]|${atom}(?:(?:[*+?]|${counted})\\??)?)*`;
  return `${sequence}(?:\\|${sequence})*`;
}

const formats: Readonly<Record<string, Pick<FormatSource, "source" | "wide"> & Partial<FormatSource>>> = {
  "date": { source: date, wide: "[0-9-]+" },
  "time": { source: time, wide: `[0-9]+:${anything}` },
  "date-time": { source: `${date}T${time}`, wide: `[0-9-]+[^0-9:-]${anything}` },
  "duration": { source: `P(?:[0-9]{1,9}W|${periods}(?:${clock})?|${clock})`, wide: `[+-]?[Pp]${anything}` },
  // Two hyphens at the third place mark names in another encoding, whose contents are not checked here.
  "hostname": {
    source: hostname,
    wide: "[A-Za-z0-9._\\-\\u{80}-\\u{10ffff}]*",
    but: ["(?:[^]*\\.)?..--[^]*"],
    most: 253,
  },
  "email": {
    source: `${atom}(?:\\.${atom})*@${domain}`,
    wide: `${anything}@${anything}`,
    but: [noPunycode],
    most: 254,
  },
  // A host's name in other scripts has rules of its own, so it is written in ASCII.
  "idn-email": {
    source: `${localPart}(?:\\.${localPart})*@${domain}`,
    wide: `${anything}@${anything}`,
    but: [noPunycode],
    most: 254,
  },
  "ipv4": { source: ipv4, wide: "[0-9.]+" },
  "ipv6": { source: ipv6, wide: `${anything}:${anything}` },
  "uuid": {
    source: "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    wide: `[0-9A-Za-z{}:-]{32,}`,
  },
  "uri": { source: uri.whole, wide: `${anything}:${anything}` },
  "uri-reference": { source: uri.any, wide: anything },
  "iri": { source: iri.whole, wide: `${anything}:${anything}` },
  "iri-reference": { source: iri.any, wide: anything },
  "uri-template": {
    source: `(?:[${
      unreserved.replace("'", "")
    }${scripts}:@/?#\\[\\]]|${percent}|\\{[+#./;?&]?${variable}(?:,${variable})*\\})*`,
    wide: anything,
  },
  "json-pointer": { source: pointer, wide: `(?:/${anything})?` },
  "relative-json-pointer": { source: `(?:0|[1-9][0-9]{0,8})(?:#|${pointer})`, wide: `[0-9]${anything}` },
  "regex": { source: expressions(3), wide: anything },
  // No draft has these: an address of a page, a version (semver.org), a block of addresses.
  "url": {
    source:
      `(?:https?|ftp)://(?:${page}\\.)+[A-Za-z]{2,63}(?::(?:[1-9][0-9]{1,3}|[1-5][0-9]{4}))?(?:/${uri.behindHost})?`,
    wide: anything,
  },
  "semver": {
    source: `${version}\\.${version}\\.${version}(?:-${release}(?:\\.${release})*)?(?:\\+${build}(?:\\.${build})*)?`,
    wide: anything,
  },
  "cidr": {
    source: `(?:${ipv4}/(?:3[0-2]|[12]?[0-9])|${ipv6}/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))`,
    wide: `${anything}/${anything}`,
  },
};

/** The formats of integers, by their least value and their greatest. */
const integers: ReadonlyMap<string, readonly [number, number]> = new Map([
  ...[8, 16, 32].flatMap((bits) =>
    [[`int${bits}`, [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]], [`uint${bits}`, [0, 2 ** bits - 1]]] as const
  ),
  ["int64", [-Infinity, Infinity]],
  ["uint64", [0, Infinity]],
]);

/** Formats that validators know, and that are not enforced here: a pattern beside one does not say what it says. */
const known = ["idn-hostname", "byte", "color", "host-name", "ip-address", "iso-time", "iso-date-time"];

/** The formats that are enforced. */
export const FORMAT_NAMES: readonly string[] = [...Object.keys(formats), ...integers.keys()];

/** The least integer of a format and the greatest; `undefined` where it is none of integers. */
export function integersOf(name: string): readonly [number, number] | undefined {
  return integers.get(name);
}

/** Whether a format is one of a library's own, such as zod's `starts_with`, for which the pattern beside it stands. */
export function isSaidByPattern(name: string): boolean {
  return !known.includes(name) && !integers.has(name) && !Object.hasOwn(formats, name);
}

/** A format by its name; `undefined` where it is not enforced. */
export function formatSource(name: string): FormatSource | undefined {
  return Object.hasOwn(formats, name) ? { but: [], most: Infinity, ...formats[name] } : undefined;
}
