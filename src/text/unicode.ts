/**
 * Character classes of Unicode 17.0: letters, numbers, punctuation, symbols, marks, white space, control characters. Made by
 * scripts/unicode.js; do not edit. Pre-tokenizers use this table and not the engine's `\p{...}`, so that a text has the
 * same tokens in every version of every runtime.
 *
 * @module
 */

/** The version of Unicode that the classes are of. */
export const UNICODE_VERSION = "17.0";

/**
 * Classes as bits, so that a set of them is one number. A character has one class or none; marks that take no room (Mn) have
 * a bit more. `control` are the categories Cc, Cf and Co, without white space.
 */
export const CLASS = {
  letter: 1,
  number: 2,
  punctuation: 4,
  symbol: 8,
  mark: 16,
  space: 32,
  nonspacing: 64,
  control: 128,
} as const;

/** Runs in order: class, distance from the run before, length (both in base 36; none: 0, 1). */
const RUNS = [
  "C,9W,5C,iWP,3SP,6SP,4N,aP,2S,3P,2L,qP,3SPSL,qPSPSC,6WC,qWPS,5PS,2LPSCS,4N,2SLP,2SNLPN,3PL,nSL,vSL,cq",
  "S,4L,cS,eL,5S,7LSLS,hD,34L,5SL,2L2,4PLS4,2LPL,3L1L1,kL1,2bSL,3vSD,5M,2L,4mL1,12L2P,6L,15P,2S2,3D1,19",
  "PDPD,2PD,2PDL8,rL4,4P,2Cb,6S,3P,2SP,2S,2D,bPCP,3L,17D,lN,aP,4L,2DL,2rPLD,7CSD,6L,2D,2SD,4L,2N,aL,3S,",
  "2LP,eC1LDL,uD,rL2,2hD,bLNe,aL,xD,9L,2SP,3LD2S,2L,mD,4LD,9LD,3LD,5P2,fL1,pD,3P2L1,bL5,oSL,7C,2D5,9L,1",
  "6D,oCD,wML,1iDMDLM,3D,8M,4DM,2LD,7L,aD,2P,2N,aPL,gDM,2L1,8L2,2L2,mL1,7L1L3,4D2LM,3D,4M2,2M2,2DLM8L4,",
  "2L1,3D,2N2,aL,2S,2N,6S,2LPDD2,2ML1,6L4,2L2,mL1,7L1,2L1,2L1,2D2M1,3D,2D4,2D2,3D3L7,4L1N7,aD,2L,3DPDa,",
  "2ML1,9L1,3L1,mL1,7L1,2L1,5D2LM,3D,5D1,2MM1,2DL2Lf,2D,2N2,aPSL7D,6D1M,2L1,8L2,2L2,mL1,7L1,2L1,5D2LMDM",
  "D,4M2,2M2,2DD7,2ML4,2L1,3D,2N2,aSLN,6DaLL1,6L3,3L1,4L3,2L1L1,2L3,2L3,3L3,cM4,2DM,2M3,3M1,3DL2M6Ne,dS",
  ",8D5M,3DL,8L1,3L1,nL1,gD2LD,3M,4D1,3D1,4D7,2L1,3L1,2L2,2D,2N2,aP7N,7SLDM,2PL,8L1,3L1,nL1,aL1,5D2LMDM",
  ",5D1M,2M1,2D,2M7,2L5,3L1,2D,2N2,aL1,2MDc,2M,2L,9L1,3L1,15D,2LM,3D,4M1,3M1,3DLSL4,3MN,7L,3D,2N2,jSL,6",
  "D1M,2L1,iL3,oL1,9L1L2,7D3M4,3D,3D1M1,8N6,aM2,2PLc,1cDL,2D,7S4L,7D,8PN,aP,2L11,2L1L1,5L1,oL1L1,aDL,2D",
  ",9LL2,5L1D1,7N1,aL2,4LwS,3P,fSPS,3D,2S,6N,kSDSDSDP,4M,2L,8L1,10D4,eMD,5PD,2L,5D,bD1,10S1,8DS,6S1,2P,",
  "5S,4P,2L11,17M,2D,4MD,6MD,2M,2D,2LN,aP,6L,6M,2D,2L,4D,3LM,3L,2M,7L,3D,4L,dDM,2D,2M,6DLMN,aM,3DS,2L,1",
  "2L1L5L2,17PL,99L1,4L2,7L1L1,4L2,15L1,4L2,xL1,4L2,7L1L1,4L2,fL1,1lL1,4L2,1vD2,3P,9N,kL3,gS,aL6,2eL2,6",
  "P2L,h8SPL,hWL,qP,2L3,23P,3N,3L,8L7,iD,3ML9,jD,2MP,2L9,iD,2Lc,dL1,3D1,2Lc,1gD,2MD,7M,8DM,2D,bP,3LP,3S",
  "LDN2,aN6,aP6,bD,3CDN,aL6,2hL7,5D,2L,yDLL5,1yLa,vD1,3M,4D,2M,3M4,2DM,6D,3S4P3,2N,aL,uL2,5Lb,18L4,qN6,",
  "bS3,yL,nD,2M,2DP2,2L,1hMDMD,7D1MDM,2D,8M,6D,aD2N,aN6,aP6,7LP,6D2,eMD,vD2,cDk,4ML,1bDMD,5MDM,5DM,2L,8",
  "P1,2N,aP,7S,aD,9S,9P,3D,2ML,uMD,4M,2D,2MD,3L,2N,aL,18DMD,2M,3DMD,3M,2P8,4L,10M,8D,8M,2D,2P3,5N,aL3,3",
  "N,aL,10P,2L,bL5,17L2,3P,8D8,3PD,dMD,7L,4DL,6DL,2MD,2LL5,5cD,1sL,7qL2,6L2,12L2,6L2,8L1L1L1L1,vL2,1hL1",
  ",7SLS,3L,3L1,7S,3L,4L2,6S1,3L,dS,3L2,3L1,7S,2W1,bC,5P,oW,2C,5WP,kSP,dSP,cWC,5C1,aNLN2,6S,3P,2LN,aS,3",
  "P,2L1,dS3,yDe,dM,4DM,3D,cSf,2LS,4LS,2L,aSLS,3L,5S,6LSLSLSL,4SL,bS,2L,4S,5L,5S,4LSN,1fL,2N,5S,2S4,agP",
  ",4S,tP,2S,73Sm,bNl,1oS,26N,mS,h4P,eN,uS,1dP,2S,vP,aS,b7P,mS,1rP,4S,wP,2S,aeS2,3uL,6dS,6L,4D,3L,2P5,4",
  "NP,2L,12L1L5L2,1kL7PDeL,nL9,7L1,7L1,7L1,7L1,7L1,7L1,7L1,7D1,wP,1bLP,wS,2P,cSy,qS1,2hSc,5ySq,gWP,3SL,",
  "2NP,aS,2P,cSN,9D,4M,2PL,5S,2N,3L,2PS,2L1,2eD2,2S,2L,3PL,2iPL,4L5,17L1,2mS1,2N,4S,aL,wS,12S9L,gS,vN1,",
  "aS,uN,8SN,fS,wN,aS,13N,fS,8wL,534S,1sL,h3hS3,1jL9,1aP,2L,7hP,3L,gN,aL,2Lk,1bDM,3PD,aPL,vD,2L,1yN,aD,",
  "2P,6S8,nL,9S,2L,2vS,2L,2aLk,hDL,3DL,4DL,nM,2D,2MS,4DN3,6S,4L6,1gP,4M8,2L,1eM,gD,2P8,2N,aD6,iL,6P,3LP",
  "L,2DN,aL,sD,8P,2L,nD,bM,2PbL,tD3,3ML,1bDM,2D,4M,2D,2M,3P,dL1N,aP4,2L,5DL,aN,aL,5L1,15D,6M,2D,2M,2D,2",
  "L9,3DL,8DMN2,aP2,4L,nS,3LMDML,1eDLD,3L,2D,2L,5D,2LDLLo,3P,2L,bMD,2M,2P,2L,3MDLa,6L2,6L2,6L9,7L1,7L1,",
  "17SL,eS,2L4,37M,2DM,2DM,2PMDN2,aL6,8mcLc,nL4,1dC1l0,4xsL,a6L2,2yL12,7Lc,5L5DL,aSL,dL1,5L1L1,2L1,2L1,",
  "30S,xL,a3P,2S,gL,1sS,2L,1iS,8Lw,cS,4D,gP,aD6,gP,zP1,eSPS,3P1SP,2L4,5L1,3rC2P1,3SP,6SP,4N,aP,2S,3P,2L",
  ",qP,3SPSL,qPSPSP,7L,2hL3,6L2,6L2,6L2,3S3,7S1,7Ca,3S,2L2,cL1,qL1,jL1,2L1,fL2,eLy,3fP5,3N4,19S3,9N,1lS",
  ",hN,2S,3S1,dS3S1b,19DL3m,tL3,1dDfN,rL4,wN,4L9,kNL,8NL5,12D,5L5,uP1L,10L4,8PN,5L16,4eN2,aL6,10L4,10L4",
  ",14L8,1gPbL,bL1,fL1,7L1,2L1,bL1,fL1,7L1,2L3,1gLc,8nL9,mLa,8Lo,6L1,16L1,9L1x,6L2L1,18L1,2L3L2,nP1N,8L",
  ",nS,2N,7L,vN8,9L1c,jL1,2N5,5L,mN,6P3L,qP5L,qL12,1kN4,2L,2N,gN2,1aLD,3D1,2D5,4L,4L1,3L1,tD2,3D4N,9P7,",
  "9L7,tN,2PL,tN,3Lw,8SL,sD,2N4,5P,7L9,1iP3,7L,mN2,8L,jN5,8L,iP7,4Nc,7L28,21L1j,1fLd,1fN7,6L,10D,4N8,aN",
  "6,aL,sD3,5PL,nS8,2N5s,vL1,16D1,2PL2,2Lg,6P8S,8Dx,6L,tN,aLL8,mD,bN,4P,5Lm,iD,4P,4L12,lN,7Lk,nM9DML,1h",
  "D,fP,7N4,uDL,2D,2LD9,3ML,19M,3D,4M,2D,2P,2CP,4DCaL2,pN7,aD6,3L,10D,5MD,8N1,aP,4LM,2LL8,zDP,2LD9,2ML,",
  "1cM,3D,9M,2L,4P,4D,4PMDN,aLPLP,3N1,kLb,iL1,pM,3D,3M,2DMD,2P,6DL,2DL1q,7L1L1,4L1,fL1,aPL6,1bDM,3D,8N5",
  ",aD6,2M,2L1,8L2,2L2,mL1,7L1,2L1,5D1,2LM,2DM,4M2,2M2,3L2M6L5,5M,2D2,7D3,5Lb,aL1L2L1,12L1M,3D,6M1M2M1,",
  "4M1,2DMDLDLP,2P1,2D8,2Lt,1hM,3D,8M,2D,3MDL,4P,5N,aP,2P1DL,3Lu,1cM,3D,6MDM,4D,2MD,2L,2PLN8,aL4m,1bM,3",
  "D,4M2,4D,2MD,2P,nL,4D,2Ly,1cM,3D,8M,2DMD,2P,3LNb,aP6,dLj,17DMDM,2D,6MDLPN6,aN6,kLs,rD2MDM,2D,4MD,5N4",
  ",cP,3SL,7L55,18M,3D,9MD,2PL2s,1sN,jLc,8L2L2,8L1,2L1,oM,6M1,2D2,2MDLMLMDP,3N9,aL1y,8L2,13M,3D,4D2,2M,",
  "4DLPLMLrD,aL,14D,6MLD,4P,8DL8D,6M,2D,3L,1aD,dMD,2P,3LP,5Ld,21P7,aD2eMD,3MDML2g,xPNe,aL6,9L1,11MD,7D1",
  ",6MDLP,5Na,tP3,2L,uD2,mM1D,7MD,2MD,2L21,7L1,2L1,12D,6D3D1,2D1,7LDN8,aL6,6L1,2L1,wM,5D1,2M1,2DMDLN7,a",
  "L6,18N4,aL6u,jD,2M,2P,2D7,2LML,dL1,yM,2D,5M3,2DMDP,dN,aDL2dNf,lS,tPdL,pmN2u,33P1,5Lb,5gL218,2pP,2Ld,",
  "tsC,gDL,6D,fLa,32zL5,g7L5a1,uD,cM,3D,3N,aL1c6,ftL7,vN1,aP4,2L,27N1,aL6,uD2,5PLa,1cD,7P,5S,4L,4PSNa,a",
  "N1,7L1,lL5,jLc0,19P,3N,aL5i,1sN,nP,4L5,pL2,pL18,23D4LM,1jD7,4L,dL1s,2PLDMb,2L,2N,3L9,5p2L15,wL2p,37L",
  "6pp,4L1,7L1,2L1,83LfLt,3L2Le,4L8,b0L1s4,2zL5,dL3,9L7,aS2D,2PC,4S318,6oN,aS,3S3,c4S6,nSf,hDf,1aD2,nS9",
  ",38S1o,6uSa,13S2,1oM,2D,3S,3M,6C,8D,8S,2D,7S,uD,4S,1pSl,1uD,3SN3e,kNc,kSc,2fN9,pL3r,2dL1,1zL1,2L2L2,",
  "2L2,4L1,cL1L1,7L1,1tL1,4L2,8L1,7L1,sL1,4L1,5L1L3,7L1,9gL2,pSL,pSL,vSL,pSL,vSL,pSL,vSL,pSL,vSL,pSL,8N",
  "2,1eS,e8D,1jS,4D,1eS,8DS,eDS,2P,5Df,5D1,fLuo,vL6,6D5x,7D1,hD2,7D1,2D1,5L5,1qDxL34,19D3,7L,7N2,aL4SL8",
  "w,uDLh,18D,4N,aS5Lcw,sD,4N,aL5y,uD,2LN,aP4L5c,vL1,3DL,2DL,7D,2L,5DL8,2L68,7L1,4L1,2L1,fL1,5hN2,9D,7L",
  "15,1wD,7LN4,aP4,2Nlt,1nSN,3SN,4N24,19SN,fL5e,4L1,rL1,2L1L2L1,aL1,4L1L1L6L4L1L1L1,3L1,2L1L2L1L1L1L1L1",
  ",2L1L2,4L1,7L1,4L1,4L1L1,aL1,hL5,3L1,5L1,hS1g,2S7i,18S4,2sSc,fS2,fS1,fS1,11Na,dS,4hS1k,tSd,18S4,9S7,",
  "2Se,6S4a,rdS3,hS3,dS3,62S6,cS4Sf,cS4,1kS8,aS6,14S8,uS2,cS4,2Se,9S13,9kS8,eS2,dS3,bS3,1lS1S4,gS2,cS4,",
  "aS7,43S1,2kN,aSLsl,wyoLw,3dqL2,4geL2,5rlLf,haL1wi,f2L15u,3t7L5,6juCf5vrCu,2oD3k,6oC1e6o,1ekeC2,1eke",
];

const BITS: Readonly<Record<string, number>> = { L: 1, N: 2, P: 4, S: 8, M: 16, W: 32, D: 80, C: 128 };
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
