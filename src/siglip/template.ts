/** The template of Hugging Face's zero-shot pipeline for SigLIP. */
export const DEFAULT_TEMPLATE = "This is a photo of {label}.";
