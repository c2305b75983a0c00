package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

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
  private final GinParameters model;
  private final List<String> conflicts = new ArrayList<>();

  /**
   * @param given the task that a user specifies, or null
   */
  ProteinLmGin(GinConfig gin, Task given) {
    this.gin = gin;
    this.task = given != null ? given : task(gin);
    String name = task == Task.CAUSAL_LM ? "FlaxLM" : "FlaxBERT";
    this.model = new GinParameters(gin, "", name, "FlaxModel");
    ProteinLmParameters.check(model);
  }

  private static Task task(GinConfig gin) {
    boolean isLm = gin.names("FlaxLM");
    boolean isBert = gin.names("FlaxBERT");
    if (isLm == isBert) {
      isLm = gin.isReferenced("FlaxLM");
      isBert = gin.isReferenced("FlaxBERT");
    }
    if (isLm == isBert) {
      throw new PerformerException(
              "%s does not say whether the model is a FlaxLM or a FlaxBERT; give its task, causal-lm or masked-lm"
                  .formatted(gin.file()))
          .settledBy("task");
    }
    return isLm ? Task.CAUSAL_LM : Task.MASKED_LM;
  }

  Task task() {
    return task;
  }

  /** The function that the layers attend with. */
  Object attention() {
    return model.value("attention_fn", GinConfig.NONE);
  }

  /** Imports, which were not followed. */
  List<String> skipped() {
    return gin.skipped();
  }

  /** Compares a parameter with what the weights' shapes say. */
  void check(String parameter, long found, String tensor) {
    check(model.name(), parameter, model.value(parameter), found, tensor);
  }

  /** Compares the longest sequence with the table of positions. */
  void checkLength(long found, String tensor) {
    Optional<Object> length = gin.value("make_protein_domain", "length");
    check("make_protein_domain", "length", length, found, tensor);
  }

  private void check(String of, String key, Optional<Object> value, long found, String tensor) {
    Object given = value.orElse(GinConfig.NONE);
    if (given != GinConfig.NONE && !given.equals(found)) {
      conflicts.add("%s.%s is %s, but %s has %s".formatted(of, key, given, tensor, found));
    }
  }

  /**
   * Compares the kind of positions with whether there is a table of them.
   *
   * @throws PerformerException if it is a kind that this model does not have
   */
  void checkPositions(boolean hasTable) {
    String key = "positional_encoding_module";
    Object value = model.value(key).orElse(null);
    if (value == null) {
      return;
    }
    String kind = value instanceof GinConfig.Reference module ? module.name() : "";
    boolean isLearned = kind.equals("AddLearnedPositionalEncodings");
    if (!isLearned && !kind.equals("AddSinusoidalPositionalEncodings")) {
      throw model.wrong(
          key, value, "@AddLearnedPositionalEncodings or @AddSinusoidalPositionalEncodings");
    }
    if (isLearned != hasTable) {
      conflicts.add(
          "%s.%s is %s, but there is %s pos_embedding"
              .formatted(model.name(), key, value, hasTable ? "a" : "no"));
    }
  }

  /** Fails with all that was found to disagree. */
  void settle() {
    require(
        conflicts.isEmpty(),
        "%s disagrees with the weights: %s; is it the configuration of this checkpoint?",
        gin.file(),
        String.join("; ", conflicts));
  }

  /**
   * Outputs that are not part of our model, beside the logits.
   *
   * @throws PerformerException if there are no logits
   */
  List<?> otherOutputs() {
    Object heads = model.value("output_head", "logits");
    List<?> all = heads instanceof List<?> list ? list : List.of(heads);
    if (!all.contains("logits")) {
      throw model.wrong("output_head", heads, "'logits', or a list with 'logits' in it");
    }
    return all.stream().filter(head -> !head.equals("logits")).toList();
  }

  /** Whether exact attention sees no later tokens. */
  boolean causal() {
    return model.bool("causal", task == Task.CAUSAL_LM);
  }

  /** A rate of dropout; Google's default is 0.1. */
  double rate(String key) {
    return model.number(key, 0.1, x -> x >= 0 && x < 1, "a rate from 0 to below 1");
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
      throw model.wrong(
          "mask_rate", rate, "a share above 0: without masks there is nothing to guess");
    }
    require(
        mask + random <= 1 + 1e-9,
        "%s: FlaxBERT.mask_token_proportion and random_token_proportion are %s and %s; together"
            + " they are at most 1",
        gin.file(),
        mask,
        random);
    return Optional.of(new Masking(rate, mask, random));
  }

  private double share(String key, double absent) {
    return model.number(key, absent, x -> x >= 0 && x <= 1, "a share from 0 to 1");
  }

  /** The longest sequence, where no table tells. */
  Optional<Long> length() {
    return gin.value("make_protein_domain", "length").map(v -> v instanceof Long n ? n : null);
  }

  /** The tokens of the domain, with those that the model adds. */
  Vocabulary vocabulary() {
    boolean isLm = task == Task.CAUSAL_LM;
    String letters =
        "ACDEFGHIKLMNPQRSTVWY"
            + (included("anomalous_amino_acids") ? "BOUXZ" : "")
            + (included("bos") ? "<" : "")
            + (included("eos") ? ">" : "")
            + (included("pad") ? "_" : "")
            + (included("mask") ? "*" : "");
    if (!included("bos") && (isLm || model.value("with_bos", false).equals(true))) {
      letters += "<";
    }
    if (!included("mask") && (!isLm || model.value("with_mask", false).equals(true))) {
      letters += "*";
    }
    return Vocabulary.of(ProteinVocabulary.letters(letters), "_", "*", "<", ">", "X");
  }

  private boolean included(String what) {
    return !gin.value("make_protein_domain", "include_" + what).equals(Optional.of(false));
  }

  /** A line on how it was trained. */
  Optional<String> training() {
    List<String> parts = new ArrayList<>();
    for (String key : List.of("learning_rate", "weight_decay", "grad_clip")) {
      model.value(key).ifPresent(value -> parts.add(key + " " + value));
    }
    return parts.isEmpty()
        ? Optional.empty()
        : Optional.of("trained with " + String.join(", ", parts));
  }
}
