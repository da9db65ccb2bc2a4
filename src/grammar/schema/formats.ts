/**
 * The formats of strings that are enforced, as regular expressions. What a format leaves open is narrowed to what every validator
 * takes: a string that is allowed is valid, and a few valid ones are never written.
 *
 * @module
 */

/** A format: what a whole string matches, what it must not match, and how many characters it may have. */
export interface FormatSource {
  readonly source: string;
  readonly but: readonly string[];
  readonly most: number;
}

const leapDay = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29";
const otherDay = "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])" +
  "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))";
const date = `(?:${leapDay}|${otherDay})`;
const time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const hostname = `${label}(?:\\.${label})*`;
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

/** References of RFC 3986, or with other scripts of RFC 3987: whole ones, and any. */
function references(letters: string): { readonly whole: string; readonly any: string } {
  const part = (more: string) => `(?:[${letters}${more}]|${percent})`;
  const authority = `(?:${part(":")}*@)?(?:\\[${ipv6}\\]|${part("")}*)(?::[0-9]{0,5})?`;
  const path = `${part(":@/")}*`;
  const behind = `(?:\\?${part(":@/?")}*)?(?:#${part(":@/?")}*)?`;
  const network = `//${authority}(?:/${path})?`;
  const absolute = `/(?:${part(":@")}${path})?`;
  // The first segment of a relative path has no colon, which would end a scheme.
  const relative = `(?:${part("@")}+(?:/${path})?)?`;
  const whole = `[A-Za-z][A-Za-z0-9+.-]*:(?:${network}|${absolute}|(?:${part(":@")}${path})?)${behind}`;
  return { whole, any: `(?:${whole}|(?:${network}|${absolute}|${relative})${behind})` };
}

const uri = references(unreserved);
const iri = references(unreserved + scripts);
const pointer = "(?:/(?:[^/~]|~[01])*)*";
const variableName = `(?:[A-Za-z0-9_]|${percent})(?:\\.?(?:[A-Za-z0-9_]|${percent}))*`;
const variable = `${variableName}(?::[1-9][0-9]{0,3}|\\*)?`;
const noPunycode = "[^]*@(?:[^]*\\.)?..--[^]*";

const formats: Readonly<Record<string, Partial<FormatSource> & { readonly source: string }>> = {
  "date": { source: date },
  "time": { source: time },
  "date-time": { source: `${date}T${time}` },
  "duration": { source: `P(?:[0-9]{1,9}W|${periods}(?:${clock})?|${clock})` },
  // Two hyphens at the third place mark names in another encoding, whose contents are not checked here.
  "hostname": { source: hostname, but: ["(?:[^]*\\.)?..--[^]*"], most: 253 },
  "email": { source: `${atom}(?:\\.${atom})*@${hostname}`, but: [noPunycode], most: 254 },
  // A host's name in other scripts has rules of its own, so it is written in ASCII.
  "idn-email": { source: `${localPart}(?:\\.${localPart})*@${hostname}`, but: [noPunycode], most: 254 },
  "ipv4": { source: ipv4 },
  "ipv6": { source: ipv6 },
  "uuid": { source: "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}" },
  "uri": { source: uri.whole },
  "uri-reference": { source: uri.any },
  "iri": { source: iri.whole },
  "iri-reference": { source: iri.any },
  "uri-template": {
    source: `(?:[${unreserved}${scripts}:@/?#\\[\\]]|${percent}|\\{[+#./;?&]?${variable}(?:,${variable})*\\})*`,
  },
  "json-pointer": { source: pointer },
  "relative-json-pointer": { source: `(?:0|[1-9][0-9]{0,8})(?:#|${pointer})` },
};

/** The formats that are enforced. */
export const FORMAT_NAMES: readonly string[] = Object.keys(formats);

/** A format by its name; `undefined` where it is not enforced. */
export function formatSource(name: string): FormatSource | undefined {
  return Object.hasOwn(formats, name) ? { but: [], most: Infinity, ...formats[name] } : undefined;
}
