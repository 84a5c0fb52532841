/** What one message may carry. */
export const mostImages = 8;
export const mostTextCharacters = 400_000;
export const mostFileBytes = 512 << 20;
/** Pictures are made smaller before they are sent: a model sees no more than this. */
export const longestSide = 1344;
export const videoFrames = 8;
