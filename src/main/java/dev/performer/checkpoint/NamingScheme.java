package dev.performer.checkpoint;

/** One producer's names for the weights of a Transformer. */
public interface NamingScheme {
  /** Its name in messages and files, such as {@code protein-lm}. */
  String label();

  /** Whether the names in a file are this scheme's. */
  boolean recognizes(WeightFile file);

  /**
   * The file as one of our models. All tensors that are missing, superfluous or of a wrong shape
   * are one error, and so is an option that the file leaves open.
   */
  ModelWeights map(WeightFile file, ImportOptions options);
}
