package dev.performer.savedmodel;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;
import java.util.Locale;

/**
 * What a model guesses of labelled examples, and how they are read; a part of its {@link
 * ModelCard}. Where it is trained on losses of its outputs, these stand in place of a kind.
 *
 * @param kind null where there are losses
 * @param signature such as {@code serving_default}
 * @param tokens the input with token ids {@code [B, L]}, and the mask of real ones; null where
 *     examples are arrays or there is none
 * @param output what guesses: logits {@code [B, C]} or {@code [B, L, C]}, or numbers {@code [B, K]}
 * @param probabilities whether it gives probabilities in place of logits; null for no
 * @param classes names by their ids, of a regression those of its numbers
 * @param scales of a regression's numbers, which the loss divides them by; null for 1
 * @param text column or feature of the text; null where examples are arrays
 * @param labels columns, features or arrays of the labels
 * @param separator between labels that share a column; null where each has its own
 * @param pixels what black and white of images are
 * @param losses in the form that {@code LossTerm} parses
 * @param maxLength tokens of a sequence at most; null if there is no limit
 * @param paddedLength tokens that each sequence is padded to; null for any length
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record TaskCard(
    Kind kind,
    String signature,
    String tokens,
    String mask,
    String output,
    Boolean probabilities,
    List<String> classes,
    List<Double> scales,
    String text,
    List<String> labels,
    String separator,
    List<Double> pixels,
    List<String> losses,
    Integer maxLength,
    Integer paddedLength) {
  /** What is guessed. */
  public enum Kind {
    /** One class of an example. */
    @JsonProperty("classification")
    CLASSIFICATION,
    /** Any number of labels of an example. */
    @JsonProperty("multi-label")
    MULTI_LABEL,
    /** Numbers of an example. */
    @JsonProperty("regression")
    REGRESSION,
    /** One class of each token. */
    @JsonProperty("token-classification")
    TOKEN_CLASSIFICATION;

    /** Its name in options and cards. */
    public String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Whether one of several classes is guessed. */
    public boolean hasClasses() {
      return this == CLASSIFICATION || isOfTokens();
    }

    public boolean isOfTokens() {
      return this == TOKEN_CLASSIFICATION;
    }

    public boolean hasNumbers() {
      return this == REGRESSION;
    }
  }

  /** The same with numbers that are learnt in these units. */
  public TaskCard withScales(List<Double> units) {
    return with(signature, tokens, mask, output, probabilities, units);
  }

  /** The same of another signature's output, which gives logits or the numbers themselves. */
  public TaskCard of(String otherSignature, String otherOutput) {
    return with(otherSignature, tokens, mask, otherOutput, null, scales);
  }

  /** The same of another signature with such an output and inputs of its own. */
  public TaskCard in(String otherSignature, String ids, String real, String otherOutput) {
    return with(otherSignature, ids, real, otherOutput, probabilities, scales);
  }

  private TaskCard with(
      String called,
      String ids,
      String real,
      String guesses,
      Boolean isOfProbabilities,
      List<Double> units) {
    return new TaskCard(
        kind,
        called,
        ids,
        real,
        guesses,
        isOfProbabilities,
        classes,
        units,
        text,
        labels,
        separator,
        pixels,
        losses,
        maxLength,
        paddedLength);
  }
}
