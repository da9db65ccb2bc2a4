/**
 * Character classes of Unicode 17.0: letters, numbers, punctuation, symbols, marks, white space. Made by
 * scripts/unicode.js; do not edit. Pre-tokenizers use this table and not the engine's `\p{...}`, so that a text has the
 * same tokens in every version of every runtime.
 *
 * @module
 */

/** The version of Unicode that the classes are of. */
export const UNICODE_VERSION = "17.0";

/** Classes as bits, so that a set of them is one number. A character has one class or none. */
export const CLASS = { letter: 1, number: 2, punctuation: 4, symbol: 8, mark: 16, space: 32 } as const;

/** Runs in order: class, distance from the run before, length (both in base 36; none: 0, 1). */
const RUNS = [
  "W9,5WiP,3SP,6SP,4N,aP,2S,3P,2L,qP,3SPSL,qPSPSW6WqPS,5PS,2LPSS1,4N,2SLP,2SNLPN,3PL,nSL,vSL,cqS,4L,cS,",
  "eL,5S,7LSLS,hM,34L,5SL,2L2,4PLS4,2LPL,3L1L1,kL1,2bSL,3vSM,7L,4mL1,12L2P,6L,15P,2S2,3M1,19PMPM,2PM,2P",
  "ML8,rL4,4P,2Sh,3P,2SP,2S,2M,bPP1,3L,17M,lN,aP,4L,2ML,2rPLM,7S1M,6L,2M,2SM,4L,2N,aL,3S,2LP,eL2ML,uM,r",
  "L2,2hM,bLNe,aL,xM,9L,2SP,3LM2S,2L,mM,4LM,9LM,3LM,5P2,fL1,pM,3P2L1,bL5,oSL,7M7,9L,16M,oM1,xL,1iM,3LM,",
  "iLM,7L,aM,2P,2N,aPL,gM,3L1,8L2,2L2,mL1,7L1L3,4M2LM,7M2,2M2,3LM8L4,2L1,3M,2N2,aL,2S,2N,6S,2LPMM2,3L1,",
  "6L4,2L2,mL1,7L1,2L1,2L1,2M2M1,5M4,2M2,3M3L7,4L1N7,aM,2L,3MPMa,3L1,9L1,3L1,mL1,7L1,2L1,5M2LM,8M1,3M1,",
  "3L2Lf,2M,2N2,aPSL7M,6M1,3L1,8L2,2L2,mL1,7L1,2L1,5M2LM,7M2,2M2,3M7,3L4,2L1,3M,2N2,aSLN,6MaLL1,6L3,3L1",
  ",4L3,2L1L1,2L3,2L3,3L3,cM4,5M3,3M1,4L2M6Ne,dS,8M5,5L,8L1,3L1,nL1,gM2LM,7M1,3M1,4M7,2L1,3L1,2L2,2M,2N",
  "2,aP7N,7SLM,3PL,8L1,3L1,nL1,aL1,5M2LM,7M1,3M1,4M7,2L5,3L1,2M,2N2,aL1,2MMc,4L,9L1,3L1,15M,2LM,7M1,3M1",
  ",4LSL4,3MN,7L,3M,2N2,jSL,6M1,3L1,iL3,oL1,9L1L2,7M3M4,6M1M1,8N6,aM2,2PLc,1cML,2M,7S4L,7M,8PN,aP,2L11,",
  "2L1L1,5L1,oL1L1,aML,2M,9LL2,5L1M1,7N1,aL2,4LwS,3P,fSPS,3M,2S,6N,kSMSMSMP,4M,2L,8L1,10M4,kPM,2L,5M,bM",
  "1,10S1,8MS,6S1,2P,5S,4P,2L11,17M,kLN,aP,6L,6M,4L,4M,3LM,3L,2M,7L,3M,4L,dM,cLMN,aM,4S,2L,12L1L5L2,17P",
  "L,99L1,4L2,7L1L1,4L2,15L1,4L2,xL1,4L2,7L1L1,4L2,fL1,1lL1,4L2,1vM2,3P,9N,kL3,gS,aL6,2eL2,6P2L,h8SPL,h",
  "WL,qP,2L3,23P,3N,3L,8L7,iM,4L9,jM,3P,2L9,iM,2Lc,dL1,3M1,2Lc,1gM,wP,3LP,3SLMN2,aN6,aP6,bM,3M1N,aL6,2h",
  "L7,5M,2L,yMLL5,1yLa,vM1,cM4,cS4P3,2N,aL,uL2,5Lb,18L4,qN6,bS3,yL,nM,5P2,2L,1hM,aM1,tM2N,aN6,aP6,7LP,6",
  "M2,1aM2,cMk,5L,1bM,hL,8P1,2N,aP,7S,aM,9S,9P,3M,3L,uM,dL,2N,aL,18M,eP8,4L,10M,kP3,5N,aL3,3N,aL,10P,2L",
  ",bL5,17L2,3P,8M8,3PM,lL,4ML,6ML,2M,3LL5,5cM,1sL,7qL2,6L2,12L2,6L2,8L1L1L1L1,vL2,1hL1,7SLS,3L,3L1,7S,",
  "3L,4L2,6S1,3L,dS,3L2,3L1,7S,2W1,bP5,oW,2W5P,kSP,dSP,cWNgLN2,6S,3P,2LN,aS,3P,2L1,dS3,yMe,xSf,2LS,4LS,",
  "2L,aSLS,3L,5S,6LSLSLSL,4SL,bS,2L,4S,5L,5S,4LSN,1fL,2N,5S,2S4,agP,4S,tP,2S,73Sm,bNl,1oS,26N,mS,h4P,eN",
  ",uS,1dP,2S,vP,aS,b7P,mS,1rP,4S,wP,2S,aeS2,3uL,6dS,6L,4M,3L,2P5,4NP,2L,12L1L5L2,1kL7PMeL,nL9,7L1,7L1,",
  "7L1,7L1,7L1,7L1,7L1,7M1,wP,1bLP,wS,2P,cSy,qS1,2hSc,5ySq,gWP,3SL,2NP,aS,2P,cSN,9M,6PL,5S,2N,3L,2PS,2L",
  "1,2eM2,2S,2L,3PL,2iPL,4L5,17L1,2mS1,2N,4S,aL,wS,12S9L,gS,vN1,aS,uN,8SN,fS,wN,aS,13N,fS,8wL,534S,1sL,",
  "h3hS3,1jL9,1aP,2L,7hP,3L,gN,aL,2Lk,1bM,4PM,aPL,vM,2L,1yN,aM,2P,6S8,nL,9S,2L,2vS,2L,2aLk,hML,3ML,4ML,",
  "nM,5S,4MN3,6S,4L6,1gP,4M8,2L,1eM,iP8,2N,aM6,iL,6P,3LPL,2MN,aL,sM,8P,2L,nM,dPbL,tM3,4L,1bM,eP,dL1N,aP",
  "4,2L,5ML,aN,aL,5L1,15M,eL9,3ML,8M,2N2,aP2,4L,nS,3LM,3L,1eMLM,3L,2M,2L,5M,2LMLLo,3P,2L,bM,5P,2L,3M,2L",
  "a,6L2,6L2,6L9,7L1,7L1,17SL,eS,2L4,37M,8PM,2N2,aL6,8mcLc,nL4,1dL6is,a6L2,2yL12,7Lc,5L5ML,aSL,dL1,5L1L",
  "1,2L1,2L1,30S,xL,a3P,2S,gL,1sS,2L,1iS,8Lw,cS,4M,gP,aM6,gP,zP1,eSPS,3P1SP,2L4,5L1,3rP4,3SP,6SP,4N,aP,",
  "2S,3P,2L,qP,3SPSL,qPSPSP,7L,2hL3,6L2,6L2,6L2,3S3,7S1,7Sd,2L2,cL1,qL1,jL1,2L1,fL2,eLy,3fP5,3N4,19S3,9",
  "N,1lS,hN,2S,3S1,dS3S1b,19ML3m,tL3,1dMfN,rL4,wN,4L9,kNL,8NL5,12M,5L5,uP1L,10L4,8PN,5L16,4eN2,aL6,10L4",
  ",10L4,14L8,1gPbL,bL1,fL1,7L1,2L1,bL1,fL1,7L1,2L3,1gLc,8nL9,mLa,8Lo,6L1,16L1,9L1x,6L2L1,18L1,2L3L2,nP",
  "1N,8L,nS,2N,7L,vN8,9L1c,jL1,2N5,5L,mN,6P3L,qP5L,qL12,1kN4,2L,2N,gN2,1aLM,3M1,2M5,4L,4L1,3L1,tM2,3M4N",
  ",9P7,9L7,tN,2PL,tN,3Lw,8SL,sM,2N4,5P,7L9,1iP3,7L,mN2,8L,jN5,8L,iP7,4Nc,7L28,21L1j,1fLd,1fN7,6L,10M,4",
  "N8,aN6,aL,sM3,5PL,nS8,2N5s,vL1,16M1,2PL2,2Lg,6P8S,8Mx,6L,tN,aLL8,mM,bN,4P,5Lm,iM,4P,4L12,lN,7Lk,nM9,",
  "3L,1hM,fP,7N4,uML,2M,2LM9,4L,19M,bP,2P1,4MLd,pN7,aM6,3L,10M,eN1,aP,4LM,2LL8,zMP,2LM9,3L,1cM,eL,4P,4M",
  ",4PM,2N,aLPLP,3N1,kLb,iL1,pM,cP,6ML,2ML1q,7L1L1,4L1,fL1,aPL6,1bM,cN5,aM6,4L1,8L2,2L2,mL1,7L1,2L1,5M1",
  ",2LM,7M2,2M2,3L2M6L5,5M,2M2,7M3,5Lb,aL1L2L1,12L1M,9M1M2M1,4M1,5LMLP,2P1,2M8,2Lt,1hM,iL,4P,5N,aP,2P1M",
  "L,3Lu,1cM,kL,2PLN8,aL4m,1bM,7M2,9P,nL,4M,2Ly,1cM,hP,3LNb,aP6,dLj,17M,dLPN6,aN6,kLs,rM2,fN4,cP,3SL,7L",
  "55,18M,fPL2s,1sN,jLc,8L2L2,8L1,2L1,oM,6M1,2M2,4LMLM,2P,3N9,aL1y,8L2,13M,7M2,7LPLMLrM,aL,14M,7LM,4P,8",
  "ML8M,bL,1aM,gP,3LP,5Ld,21P7,aM2e,8L2g,xPNe,aL6,9L1,11M,8M1,8LP,5Na,tP3,2L,uM2,mM1,eL21,7L1,2L1,12M,6",
  "M3M1,2M1,7LMN8,aL6,6L1,2L1,wM,5M1,2M1,5LN7,aL6,18N4,aL6u,jM,4P,2M7,2LML,dL1,yM,7M3,5P,dN,aML2dNf,lS,",
  "tPdL,pmN2u,33P1,5Lb,5gL218,2pP,2Ld,tsMgL,6M,fLa,32zL5,g7L5a1,uM,iN,aL1c6,ftL7,vN1,aP4,2L,27N1,aL6,uM",
  "2,5PLa,1cM,7P,5S,4L,4PSNa,aN1,7L1,lL5,jLc0,19P,3N,aL5i,1sN,nP,4L5,pL2,pL18,23M4LM,1jM7,4L,dL1s,2PLMM",
  "b,2L,2N,3L9,5p2L15,wL2p,37L6pp,4L1,7L1,2L1,83LfLt,3L2Le,4L8,b0L1s4,2zL5,dL3,9L7,aS2M,2PS31c,6oN,aS,3",
  "S3,c4S6,nSf,hMf,1aM2,nS9,38S1o,6uSa,13S2,1oM,5S,3M,6M8,8S,2M,7S,uM,4S,1pSl,1uM,3SN3e,kNc,kSc,2fN9,pL",
  "3r,2dL1,1zL1,2L2L2,2L2,4L1,cL1L1,7L1,1tL1,4L2,8L1,7L1,sL1,4L1,5L1L3,7L1,9gL2,pSL,pSL,vSL,pSL,vSL,pSL",
  ",vSL,pSL,vSL,pSL,8N2,1eS,e8M,1jS,4M,1eS,8MS,eMS,2P,5Mf,5M1,fLuo,vL6,6M5x,7M1,hM2,7M1,2M1,5L5,1qMxL34",
  ",19M3,7L,7N2,aL4SL8w,uMLh,18M,4N,aS5Lcw,sM,4N,aL5y,uM,2LN,aP4L5c,vL1,3ML,2ML,7M,2L,5ML8,2L68,7L1,4L1",
  ",2L1,fL1,5hN2,9M,7L15,1wM,7LN4,aP4,2Nlt,1nSN,3SN,4N24,19SN,fL5e,4L1,rL1,2L1L2L1,aL1,4L1L1L6L4L1L1L1,",
  "3L1,2L1L2L1L1L1L1L1,2L1L2,4L1,7L1,4L1,4L1L1,aL1,hL5,3L1,5L1,hS1g,2S7i,18S4,2sSc,fS2,fS1,fS1,11Na,dS,",
  "4hS1k,tSd,18S4,9S7,2Se,6S4a,rdS3,hS3,dS3,62S6,cS4Sf,cS4,1kS8,aS6,14S8,uS2,cS4,2Se,9S13,9kS8,eS2,dS3,",
  "bS3,1lS1S4,gS2,cS4,aS7,43S1,2kN,aSLsl,wyoLw,3dqL2,4geL2,5rlLf,haL1wi,f2L15u,3t7L5,6juMf62u,6o",
];

const BITS: Readonly<Record<string, number>> = { L: 1, N: 2, P: 4, S: 8, M: 16, W: 32 };
let table: Uint8Array | undefined;

/** The class of every code point; made on first use. */
export function characterClasses(): Uint8Array {
  if (table !== undefined) return table;
  table = new Uint8Array(0x110000);
  let at = 0;
  for (const [, name, gap, length] of RUNS.join("").matchAll(/([A-Z])([0-9a-z]*)(?:,([0-9a-z]+))?/g)) {
    const start = at + (gap === "" ? 0 : parseInt(gap, 36));
    at = start + (length === undefined ? 1 : parseInt(length, 36));
    table.fill(BITS[name], start, at);
  }
  return table;
}
