package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Vocabulary;
import dev.performer.model.Task;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a gin configuration has of a protein_lm model: parameters of {@code FlaxLM} or {@code
 * FlaxBERT}, or of {@code FlaxModel}, from which both inherit.
 */
final class ProteinLmGin {
  private final GinConfig gin;
  private final Task task;
  private final String model;
  private final List<String> conflicts = new ArrayList<>();

  /**
   * @param given the task that a user specifies, or null
   */
  ProteinLmGin(GinConfig gin, Task given) {
    this.gin = gin;
    this.task = given != null ? given : task(gin);
    this.model = task == Task.CAUSAL_LM ? "FlaxLM" : "FlaxBERT";
    ProteinLmParameters.check(gin, model);
  }

  private static Task task(GinConfig gin) {
    boolean lm = gin.names("FlaxLM");
    boolean bert = gin.names("FlaxBERT");
    if (lm == bert) {
      lm = gin.isReferenced("FlaxLM");
      bert = gin.isReferenced("FlaxBERT");
    }
    if (lm == bert) {
      throw new PerformerException(
              gin.file()
                  + " does not say whether the model is a FlaxLM or a FlaxBERT; give its task, causal-lm or"
                  + " masked-lm")
          .settledBy("task");
    }
    return lm ? Task.CAUSAL_LM : Task.MASKED_LM;
  }

  Task task() {
    return task;
  }

  /** The value of a parameter of the model; empty where Google's default holds. */
  Optional<Object> value(String parameter) {
    return gin.value("", model, parameter).or(() -> gin.value("", "FlaxModel", parameter));
  }

  /** Compares a parameter with what the weights' shapes say. */
  void check(String parameter, long found, String tensor) {
    value(parameter)
        .filter(value -> value != GinConfig.NONE && !value.equals(found))
        .ifPresent(
            value ->
                conflicts.add(
                    "%s.%s is %s, but %s has %d"
                        .formatted(model, parameter, value, tensor, found)));
  }

  /** Compares the longest sequence with the table of positions. */
  void checkLength(long found, String tensor) {
    gin.value("", "make_protein_domain", "length")
        .filter(value -> !value.equals(found))
        .ifPresent(
            value ->
                conflicts.add(
                    "make_protein_domain.length is %s, but %s has %d"
                        .formatted(value, tensor, found)));
  }

  /**
   * Compares the kind of positions with whether there is a table of them.
   *
   * @throws PerformerException if it is a kind that this model does not have
   */
  void checkPositions(boolean hasTable) {
    String key = "positional_encoding_module";
    value(key)
        .ifPresent(
            value -> {
              String name = value instanceof GinConfig.Reference module ? module.name() : "";
              boolean learned = name.equals("AddLearnedPositionalEncodings");
              if (!learned && !name.equals("AddSinusoidalPositionalEncodings")) {
                throw wrong(
                    key,
                    value,
                    "@AddLearnedPositionalEncodings or @AddSinusoidalPositionalEncodings");
              }
              if (learned != hasTable) {
                conflicts.add(
                    "%s.%s is %s, but there is %s pos_embedding"
                        .formatted(model, key, value, hasTable ? "a" : "no"));
              }
            });
  }

  /**
   * What the model puts out.
   *
   * @return outputs that are not part of our model, beside the logits
   * @throws PerformerException if there are no logits among them
   */
  List<?> otherOutputs() {
    Object heads = value("output_head").orElse("logits");
    List<?> all = heads instanceof List<?> list ? list : List.of(heads);
    if (!all.contains("logits")) {
      throw wrong("output_head", heads, "'logits', or a list with 'logits' in it");
    }
    return all.stream().filter(head -> !head.equals("logits")).toList();
  }

  /** Whether exact attention sees no later tokens. */
  boolean causal() {
    Object value = value("causal").orElse(task == Task.CAUSAL_LM);
    if (value instanceof Boolean causal) {
      return causal;
    }
    throw wrong("causal", value, "True or False");
  }

  /** A rate of dropout; Google's default is 0.1. */
  double rate(String key) {
    Object value = value(key).orElse(0.1);
    if (value instanceof Number n && n.doubleValue() >= 0 && n.doubleValue() < 1) {
      return n.doubleValue();
    }
    throw wrong(key, value, "a rate from 0 to below 1");
  }

  /** Which tokens a FlaxBERT was trained to guess; empty for a FlaxLM. */
  Optional<Masking> masking() {
    if (task == Task.CAUSAL_LM) {
      return Optional.empty();
    }
    double rate = share("mask_rate", Masking.PROTEIN_LM.rate());
    double mask = share("mask_token_proportion", Masking.PROTEIN_LM.mask());
    double random = share("random_token_proportion", Masking.PROTEIN_LM.random());
    if (rate == 0) {
      throw wrong("mask_rate", rate, "a share above 0: without masks there is nothing to guess");
    }
    if (mask + random > 1 + 1e-9) {
      throw new PerformerException(
          "%s: FlaxBERT.mask_token_proportion and random_token_proportion are %s and %s; together they are at most 1"
              .formatted(gin.file(), mask, random));
    }
    return Optional.of(new Masking(rate, mask, random));
  }

  private double share(String key, double absent) {
    Object value = gin.value("", "FlaxBERT", key).orElse(absent);
    if (value instanceof Number n && n.doubleValue() >= 0 && n.doubleValue() <= 1) {
      return n.doubleValue();
    }
    throw wrong(key, value, "a share from 0 to 1");
  }

  private PerformerException wrong(String key, Object value, String expected) {
    return new PerformerException(
        "%s: %s.%s is %s; expected %s".formatted(gin.file(), model, key, value, expected));
  }

  /** Fails with all that was found to disagree. */
  void settle() {
    if (!conflicts.isEmpty()) {
      throw new PerformerException(
          "%s disagrees with the weights: %s; is it the configuration of this checkpoint?"
              .formatted(gin.file(), String.join("; ", conflicts)));
    }
  }

  /** The longest sequence, where no table tells. */
  Optional<Long> length() {
    return gin.value("", "make_protein_domain", "length")
        .filter(Long.class::isInstance)
        .map(Long.class::cast);
  }

  /** The tokens of the domain, with those that the model adds. */
  Vocabulary vocabulary() {
    StringBuilder letters = new StringBuilder("ACDEFGHIKLMNPQRSTVWY");
    letters.append(included("anomalous_amino_acids") ? "BOUXZ" : "");
    letters.append(included("bos") ? "<" : "");
    letters.append(included("eos") ? ">" : "");
    letters.append(included("pad") ? "_" : "");
    letters.append(included("mask") ? "*" : "");
    boolean lm = task == Task.CAUSAL_LM;
    if (letters.indexOf("<") < 0 && (lm || value("with_bos").equals(Optional.of(true)))) {
      letters.append('<');
    }
    if (letters.indexOf("*") < 0 && (!lm || value("with_mask").equals(Optional.of(true)))) {
      letters.append('*');
    }
    return Vocabulary.of(ProteinVocabulary.letters(letters.toString()), "_", "*", "<", ">", "X");
  }

  private boolean included(String what) {
    return !gin.value("", "make_protein_domain", "include_" + what).equals(Optional.of(false));
  }

  /** A line on how it was trained. */
  Optional<String> training() {
    List<String> parts = new ArrayList<>();
    for (String key : List.of("learning_rate", "weight_decay", "grad_clip")) {
      value(key).ifPresent(value -> parts.add(key + " " + value));
    }
    return parts.isEmpty()
        ? Optional.empty()
        : Optional.of("trained with " + String.join(", ", parts));
  }
}
