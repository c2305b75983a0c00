package dev.performer.model;

import static dev.performer.PerformerException.require;

/**
 * The share of elements that training sets to 0. At inference nothing is dropped.
 *
 * @param embeddings of the embeddings
 * @param attention of exact attention's weights, and of the outputs of heads in Model Garden's;
 *     FAVOR+ has no weights and drops nothing, as in Google's code
 * @param mlp between the two dense layers of an MLP
 * @param residual of what a block adds to its input
 * @param classifier of the vector that the classifier takes
 */
public record DropoutRates(
    double embeddings, double attention, double mlp, double residual, double classifier) {

  /** No dropout. */
  public static final DropoutRates NONE = new DropoutRates(0, 0, 0, 0, 0);

  /** Checks the rates. */
  public DropoutRates {
    for (double rate : new double[] {embeddings, attention, mlp, residual, classifier}) {
      boolean isRate = rate >= 0 && rate < 1;
      require(isRate, "a rate of dropout must be 0 or more and below 1, not %s", rate);
    }
  }
}
