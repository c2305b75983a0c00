package dev.performer.cli;

import static dev.performer.PerformerException.require;
import static dev.performer.cli.PerformerCommand.requireUsage;

import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.data.RowSource;
import dev.performer.data.Tokenizer;
import dev.performer.model.FavorConversion;
import dev.performer.model.InterpolatedPositions;
import dev.performer.nn.RotaryScaling;
import dev.performer.pipeline.Converter;
import dev.performer.pipeline.Converter.CalibrationData;
import dev.performer.pipeline.ModelOptions;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.pipeline.TokenInput;
import dev.performer.recipe.RecipeData;
import dev.performer.savedmodel.ModelCard;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Options that several commands have. */
final class SharedOptions {
  private SharedOptions() {}

  /** Where a command writes a SavedModel. */
  static final class Target {
    @Option(names = "--output", required = true, description = "Where the SavedModel goes.")
    Path path;

    @Option(names = "--replace", description = "Replace a SavedModel that is there.")
    boolean replace;
  }

  /** Which run directory a command trains in, and what to do where that goes wrong. */
  static final class Run {
    @Option(names = "--output", required = true, description = "The run directory.")
    Path run;

    @Option(names = "--resume", description = "Go on from the run directory's newest checkpoint.")
    boolean resume;

    @Option(names = "--debug-numerics", description = "Find the op whose number is not finite.")
    boolean debugNumerics;
  }

  /** Sequences or texts of a user's files. */
  static final class Sequences {
    @Option(
        names = {"--inputs", "--data"},
        required = true,
        paramLabel = "X",
        description =
            "X.fasta(.gz), X.txt with one sequence or text a line, X.csv, X.tsv or X.parquet with a column sequence or text (or, in Parquet, lists of token ids, tokens), or X.npz with token ids 'tokens' [N, L]; a folder of these, or a pattern in quotes. May be given several times.")
    List<Path> inputs;

    @Option(
        names = "--text-column",
        paramLabel = "NAME",
        description = "Of a table (default: sequence, text or tokens).")
    private String text;

    @Option(
        names = "--id-column",
        paramLabel = "NAME",
        description = "Of a table (default: id, else rows have numbers).")
    private String id;

    @Option(
        names = "--length",
        paramLabel = "L",
        description =
            "Tokens of a sequence at most; longer ones are cropped (default: "
                + TokenInput.DEFAULT_LENGTH
                + ", or what the model takes if that is less).")
    Integer length;

    /** Which columns of a table are read, some of them only to stand beside the results. */
    RowSource.Columns columns(List<String> kept) {
      return new RowSource.Columns(text, id, kept, List.of());
    }
  }

  /** How attention is estimated; null where it is not given. */
  static final class Favor {
    @Option(
        names = "--kernel",
        description =
            "${COMPLETION-CANDIDATES} (default: softmax; in place of exact attention the one of least error).")
    private Kernel kernel;

    @Option(
        names = "--features",
        description =
            "M, the directions of a drawn projection; 0 for none (default: 256, 0 for kernels that do not estimate softmax).")
    private Integer features;

    @Option(
        names = "--lengths",
        description =
            "Of rows of a drawn projection: chi, or sqrt-d (default in place of exact attention).")
    private Projection.Lengths lengths;

    @Option(names = "--seed", description = "Of a drawn projection (default: 0; layer i adds i).")
    private Long seed;

    @Option(
        names = "--window",
        paramLabel = "W",
        description =
            "Keys at most so far from a query keep their exact softmax weight; features stand for the others (default: 0, none). Of import without --attention favor: chunks seen in Model Garden's causal attention.")
    Integer window;

    @Option(
        names = "--sinks",
        split = ",",
        paramLabel = "N",
        description =
            "So do these keys for all queries: 0 is the first that counts, -1 the last, such as 0,-1 (default: none).")
    List<Integer> sinks;

    FavorKeys given() {
      return features().window(window).sinks(sinks);
    }

    /** All but what stays exact. */
    FavorKeys features() {
      return FavorConfig.builder().kernel(kernel).features(features).lengths(lengths).seed(seed);
    }
  }

  /** What takes the place of exact attention, and where. */
  static final class Conversion {
    @Mixin Favor favor;

    @Option(
        names = "--layers",
        description = "Where FAVOR+ replaces exact attention, such as 0,2-5 (default: everywhere).")
    private String layers;

    @Option(names = "--exact-heads", description = "First heads that stay exact (default: 0).")
    private Integer exactHeads;

    @Option(
        names = "--interpolate-positions",
        paramLabel = "LENGTH",
        description =
            "Stretch a trained table of positions to longer sequences, by linear interpolation; fine-tune the result.")
    private Integer positions;

    @Option(
        names = "--rotary-scaling",
        paramLabel = "KIND:FACTOR",
        description =
            "Slow rotary positions down for sequences FACTOR times as long: linear:4 all of them, ntk:4 the slow ones most.")
    private String rotary;

    boolean isGiven() {
      return layers != null || exactHeads != null;
    }

    /** The option that is given of those about positions. */
    String positions() {
      return positions != null ? "--interpolate-positions" : "--rotary-scaling";
    }

    boolean interpolates() {
      return positions != null || rotary != null;
    }

    /** Of attention if wanted, and of positions if that is given. */
    Converter converter(boolean ofAttention, Optional<CalibrationData> calibration) {
      var defaults =
          calibration.isPresent()
              ? FavorConversion.calibratedDefaults()
              : FavorConversion.defaults();
      return new Converter(
          ofAttention ? Optional.of(conversion(defaults)) : Optional.empty(),
          Optional.ofNullable(positions).map(InterpolatedPositions::new),
          Optional.ofNullable(rotary).map(RotaryScaling::parse),
          calibration);
    }

    private FavorConversion conversion(FavorKeys defaults) {
      var keys = favor.given().exactHeads(exactHeads).over(defaults);
      return new FavorConversion(
          keys.build(), layers == null ? Set.of() : SharedOptions.layers(layers));
    }
  }

  /** Numbers of layers, such as {@code 0,2-5}. */
  static Set<Integer> layers(String given) {
    Set<Integer> numbers = new TreeSet<>();
    for (String part : given.split(",", -1)) {
      boolean isRange = part.strip().matches("\\d{1,4}(-\\d{1,4})?");
      String text = "--layers: '%s' is no layer; give numbers and ranges, such as 0,2-5";
      require(isRange, text, part);
      String[] ends = part.strip().split("-");
      int last = Integer.parseInt(ends[ends.length - 1]);
      int first = Integer.parseInt(ends[0]);
      require(last >= first, "--layers: '%s' ends before it begins", part);
      for (int i = first; i <= last; i++) {
        numbers.add(i);
      }
    }
    return numbers;
  }

  /** Which signature of a SavedModel takes what, where it shall not be as the model records it. */
  static class Tensors {
    @Option(names = "--signature", description = "Default: performer.json's, else serving_default.")
    private String signature;

    @Option(
        names = "--tokens-input",
        description = "Input of token ids (default: by type and name).")
    String tokens;

    @Option(names = "--mask", description = "Input that is 1 at real tokens (default: by name).")
    private String mask;

    @Option(names = "--logits", description = "Output [B, L, vocabulary] (default: by its shape).")
    private String logits;

    @Option(
        names = {"--vocabulary", "--tokenizer"},
        paramLabel = "NAME|FILE",
        description =
            "google-protein, pad-first-protein, letters:ABC…, bytes, bytes:N (N special ids before the bytes), ids (texts are token ids, as 12 7 431) or a tokenizer.json (default: from performer.json, else by the number of logits).")
    private String vocabulary;

    ModelOptions given() {
      return ModelOptions.DEFAULT
          .withSignature(signature)
          .withTensors(tokens, mask, logits)
          .withTokenizer(vocabulary == null ? null : Tokenizer.named(vocabulary));
    }
  }

  /** The same where --tokens is no number of tokens. */
  static final class Inputs extends Tensors {
    /** The earlier name. */
    @Option(names = "--tokens", hidden = true)
    private void tokens(String input) {
      tokens = input;
    }
  }

  /** How a SavedModel is used as a language model, where the model's own record shall not count. */
  static final class LanguageModel {
    @Mixin private Inputs input;

    @Option(
        names = "--objective",
        description = "masked-lm or causal-lm (default: from performer.json, else masked-lm).")
    private ModelCard.Objective objective;

    @Option(
        names = "--masking",
        description =
            "Of 15 %% of the tokens: bert = 80 %% mask, 10 %% random; protein-lm = 10 %% mask, 80 %% random; google-eval = the same, at the places that protein_lm draws from the tokens of a batch in evaluation (default: from performer.json, else bert).")
    private ModelOptions.MaskedTokens masking;

    @Option(
        names = "--model-shifts",
        description =
            "A causal model whose logits at t are for token t, as Google's FlaxLM has it (default: from performer.json).")
    private boolean modelShifts;

    ModelOptions given() {
      Boolean shifts = modelShifts ? true : null;
      return input.given().withObjective(objective).withMasking(masking).withShiftsInputs(shifts);
    }
  }

  /** How sequences become batches. */
  static final class Batches {
    @Option(
        names = "--length",
        description =
            "Tokens of a sequence at most; longer ones are cropped (default: "
                + Batching.DEFAULT_LENGTH
                + ", or what the model takes if that is less).")
    Integer length;

    @Option(
        names = "--crop",
        description =
            "Which part of a long sequence trains: start or random (default: start where the model takes no more than a length, else random).")
    private RecipeData.Crop crop;

    @Option(names = "--batch-tokens", description = "Tokens of a batch at most, padding included.")
    private int batchTokens = Batching.DEFAULT_TOKENS;

    @Option(
        names = "--eos",
        negatable = true,
        defaultValue = "true",
        fallbackValue = "true",
        description = "Append the end token, where the vocabulary has one (default: true).")
    boolean eos;

    SequenceBatching batching() {
      boolean isSound = (length == null || length >= 2) && batchTokens >= 1;
      Object given = length == null ? "the default" : length;
      String text = "--length must be at least 2 and --batch-tokens at least 1, not %s and %d";
      requireUsage(isSound, text, given, batchTokens);
      return new SequenceBatching(length, crop, new BatchSize.Tokens(batchTokens), eos);
    }
  }
}
