package dev.performer.training;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Variable;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.InputFeed;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.tensorflow.Output;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;

/**
 * Finds the language model in a signature of an imported SavedModel. Tokens are the input with one
 * of the usual names, or the only integer input {@code [B, L]}; a mask is an input with "mask" in
 * its name; other inputs {@code [B, L]} get zeros. Logits are the float32 output {@code [B, L, V]}
 * with one of the usual names, or the only one.
 */
public final class ImportedLanguageModel {
  private static final List<String> TOKENS =
      List.of(
          "tokens",
          "input_word_ids",
          "input_ids",
          "token_ids",
          "word_ids",
          "ids",
          "inputs",
          "encoder_token_ids");
  private static final List<String> LOGITS =
      List.of("logits", "lm_head", "lm_logits", "mlm_logits");

  private static final String WHOLE =
      "here each sequence is one example: train a recipe that starts from this model";
  private static final String UNKNOWN =
      "segments need a model that says how it is built, as exports of training and imported checkpoints do; %s does not; take recompute";

  private ImportedLanguageModel() {}

  /** The language model of a signature that was imported; the model stays the caller's. */
  public static LanguageModel of(ImportedModel model, String signature) {
    return of(model, resolve(signature(model, signature), null, 0));
  }

  /**
   * Finds the tensors of a signature; an error lists what there is.
   *
   * @param given what is known already; null, or any part of it null: that is looked for
   * @param vocabularySize tokens that logits must be for, at least; 0 if that is not known
   */
  public static ModelCard.LanguageModel resolve(
      SignatureSpec spec, ModelCard.LanguageModel given, int vocabularySize) {
    var known = Optional.ofNullable(given);
    String tokens = known.map(m -> m.tokens()).orElseGet(() -> tokens(spec));
    String mask = known.map(m -> m.mask()).orElseGet(() -> mask(spec, tokens));
    String logits =
        known.map(m -> m.logits()).orElseGet(() -> logits(spec, tokens, vocabularySize));
    check(spec, tokens, mask, logits);
    LanguageModel.check(vocabularySize, width(spec.output(logits)));
    return given == null
        ? new ModelCard.LanguageModel(spec.name(), tokens, mask, logits, null)
        : given.withTensors(spec.name(), tokens, mask, logits, given.objective());
  }

  /** The input for tokens; an error lists what there is. */
  public static String tokens(SignatureSpec spec) {
    var types = List.of(DataType.DT_INT32, DataType.DT_INT64);
    Predicate<TensorSpec> fits =
        input -> types.contains(input.type()) && hasRank(input, 2) && InputFeed.mayBeTokens(input);
    String what = "input for tokens: int32 or int64 [B, L]";
    return choose(spec, spec.inputs(), fits, TOKENS, what, "tokensInput");
  }

  /**
   * The input that is 1 where a token is real, of several the one whose name begins most as the
   * tokens', the first where these are null; null if there is none.
   */
  public static String mask(SignatureSpec spec, String tokens) {
    return spec.inputs().values().stream()
        .filter(input -> InputFeed.isMask(input) && !input.name().equals(tokens))
        .map(TensorSpec::name)
        .max(Comparator.comparingInt(name -> tokens == null ? 0 : common(name, tokens)))
        .orElse(null);
  }

  private static int common(String name, String other) {
    int least = Math.min(name.length(), other.length());
    return IntStream.range(0, least)
        .filter(i -> name.charAt(i) != other.charAt(i))
        .findFirst()
        .orElse(least);
  }

  /** Padded vocabularies have more logits than tokens; an output with as many goes first. */
  private static String logits(SignatureSpec spec, String tokens, long size) {
    TensorSpec ids = spec.input(tokens);
    Predicate<TensorSpec> fits =
        output -> output.isFloat() && hasRank(output, 3) && output.follows(ids, 2);
    Predicate<TensorSpec> isWide = output -> width(output) < 0 || width(output) >= size;
    Predicate<TensorSpec> isExact = fits.and(output -> size > 0 && width(output) == size);
    boolean hasExact = spec.outputs().values().stream().anyMatch(isExact);
    String least = size > 0 ? " and V at least " + size : "";
    String what = "output for logits: floats [B, L, V]" + least;
    return choose(
        spec, spec.outputs(), hasExact ? isExact : fits.and(isWide), LOGITS, what, "logits");
  }

  /** Whether an output has a name that logits usually have. */
  public static boolean isLogits(String name) {
    return LOGITS.contains(name);
  }

  private static long width(TensorSpec output) {
    return output.shape().isUnknown() ? -1 : output.shape().get(-1);
  }

  /**
   * The only output {@code [B, V]} of floats with a number for each token; empty where there are
   * several, or logits of every token.
   */
  public static Optional<String> lastLogits(SignatureSpec spec, int vocabularySize) {
    var all = spec.outputs().values();
    Predicate<TensorSpec> fits =
        output ->
            hasRank(output, 2)
                && output.isFloat()
                && (output.shape().get(-1) < 0 || output.shape().get(-1) >= vocabularySize);
    List<String> names =
        all.stream().filter(fits.and(o -> !o.shape().isUnknown())).map(TensorSpec::name).toList();
    boolean hasEach = all.stream().anyMatch(output -> hasRank(output, 3));
    return hasEach || names.size() != 1 ? Optional.empty() : Optional.of(names.get(0));
  }

  private static void check(SignatureSpec spec, String tokens, String mask, String logits) {
    spec.input(tokens);
    spec.output(logits);
    if (mask != null) {
      spec.input(mask);
    }
  }

  /** The language model that a card describes; an error names what the model has not. */
  public static LanguageModel of(ImportedModel model, ModelCard.LanguageModel card) {
    SignatureSpec spec = signature(model, card.signature());
    check(spec, card.tokens(), card.mask(), card.logits());
    Map<TensorSpec, Output<?>> others = new LinkedHashMap<>();
    for (TensorSpec input : spec.inputs().values()) {
      if (!input.name().equals(card.tokens()) && !input.name().equals(card.mask())) {
        InputFeed.of(input);
        others.put(input, model.input(spec.name(), input.name()));
      }
    }
    Output<?> logits = model.output(spec.name(), card.logits());
    boolean isFloat = logits.type() == TFloat32.class;
    require(isFloat, "the output %s is no float32; logits must be", spec.output(card.logits()));
    return new LanguageModel(
        model.graph(),
        model.input(spec.name(), card.tokens()),
        Optional.ofNullable(card.mask()).map(name -> model.input(spec.name(), name)),
        others,
        logits.expect(TFloat32.class),
        model.variables(),
        model::restore);
  }

  /**
   * The language model of a card with its loss, in the form in which a loop trains it.
   *
   * @param evaluated the same model as it is evaluated
   * @param config how the model is built; empty if that is unknown
   * @throws PerformerException if it cannot be trained in this form
   */
  public static Trainable trainable(
      ImportedModel model,
      ModelCard.LanguageModel card,
      LanguageModel evaluated,
      Optional<PerformerConfig> config,
      LoopOptions loop) {
    LanguageModel language = of(model, card);
    require(!loop.truncate(), "truncate needs streams of examples, which recipes have; %s", WHOLE);
    return switch (loop.memory()) {
      case PLAIN -> Trainable.of(language, evaluated);
      case RECOMPUTE -> {
        var parts = new Recomputation();
        var logits = model.inParts(card.signature(), List.of(card.logits()), parts);
        var copy = logits.get(card.logits()).expect(TFloat32.class);
        yield Trainable.of(language.withLogits(copy), evaluated, parts);
      }
      case SEGMENTS -> {
        require(config.isPresent(), UNKNOWN, model.directory().path());
        require(
            loop.lora() == null, "lora and memory: segments do not go together; take recompute");
        Memory.check(config.get(), loop);
        requireVariables(model, config.get());
        yield PerformerTraining.inSegments(
            model.graph(), config.get(), loop, model.variables(), model::restore);
      }
    };
  }

  /** Exports with weights in another form have other variables. */
  private static void requireVariables(ImportedModel model, PerformerConfig config) {
    Map<String, Variable> known = new LinkedHashMap<>();
    model.variables().forEach(variable -> known.put(variable.name(), variable));
    Performer.shapes(config)
        .forEach(
            (name, shape) -> {
              Variable own = known.get(name);
              boolean fits =
                  own != null && own.type() == TFloat32.class && own.shape().equals(shape);
              String text =
                  "segments need the weight %s as float32 %s, which the graph has not; %s";
              require(fits, text, name, shape, "take recompute");
            });
  }

  private static SignatureSpec signature(ImportedModel model, String name) {
    var known = model.signatures();
    String text = "the signature %s was not imported; imported are %s";
    require(known.containsKey(name), text, name, known.keySet());
    return known.get(name);
  }

  private static String choose(
      SignatureSpec signature,
      Map<String, TensorSpec> specs,
      Predicate<TensorSpec> fits,
      List<String> usual,
      String what,
      String setting) {
    List<String> names = specs.values().stream().filter(fits).map(TensorSpec::name).toList();
    Optional<String> known = usual.stream().filter(names::contains).findFirst();
    String count = names.isEmpty() ? "no" : "more than one";
    String text = "the signature %s has %s %s; it has %s";
    if (known.isEmpty() && names.size() != 1) {
      String found = text.formatted(signature.name(), count, what, specs.values());
      throw new PerformerException(found).settledBy(setting);
    }
    return known.orElseGet(() -> names.get(0));
  }

  private static boolean hasRank(TensorSpec spec, int rank) {
    return spec.shape().isUnknown() || spec.shape().numDimensions() == rank;
  }
}
