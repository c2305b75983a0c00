package dev.performer.training;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.ExampleBatches;
import dev.performer.data.HeldOutSplit;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceBatches;
import dev.performer.data.SequenceSource;
import dev.performer.data.TextChunks;
import dev.performer.data.Vocabulary;
import java.nio.file.Path;
import java.util.Locale;
import java.util.function.UnaryOperator;

/**
 * The section {@code data} of a recipe; what is null there follows from other keys.
 *
 * @param train the file to learn from, may be gzipped
 * @param validation the file to evaluate on; null holds back a twentieth of {@code train}
 * @param format of both; null for what the file's name says
 * @param vocabulary {@code google-protein}, {@code pad-first-protein}, {@code letters:ABC…} or
 *     {@code bytes}; null for google-protein, of a text bytes
 * @param length tokens of a sequence at most
 * @param bucket padded lengths are multiples of this; null for 64, of a text the length
 * @param crop where a longer sequence is cut: anywhere, or from its start
 * @param begin whether the begin token comes first
 * @param end whether the end token comes last; null for whether letters have one, as {@code
 *     evaluate} does
 * @param window sequences within which order is random
 * @param masking what a masked language model guesses: {@code bert} or {@code protein-lm}
 */
public record RecipeData(
    String train,
    String validation,
    Format format,
    String vocabulary,
    int length,
    Integer bucket,
    Crop crop,
    boolean begin,
    Boolean end,
    int window,
    Masks masking) {

  /** How a file holds sequences. */
  public enum Format {
    /** Records of letters. */
    @JsonProperty("fasta")
    FASTA,
    /** One text, cut into pieces of bytes. */
    @JsonProperty("text")
    TEXT
  }

  /** Where a sequence is cut that is longer than {@code length}. */
  public enum Crop {
    /** Anywhere, another place each time. */
    @JsonProperty("random")
    RANDOM,
    /** Its first tokens stay. */
    @JsonProperty("start")
    START
  }

  /** Proportions of a masked language model, of 15 % of the tokens. */
  public enum Masks {
    /** 80 % mask, 10 % random, 10 % kept. */
    @JsonProperty("bert")
    BERT,
    /** 10 % mask, 80 % random, 10 % kept. */
    @JsonProperty("protein-lm")
    PROTEIN_LM;

    /** The numbers. */
    public Masking proportions() {
      return this == BERT ? Masking.BERT : Masking.PROTEIN_LM;
    }
  }

  /** Before the keys of a recipe. */
  static final RecipeData DEFAULT =
      new RecipeData(null, null, null, null, 512, null, Crop.RANDOM, false, null, 8192, Masks.BERT);

  private static final int TEXT_PARTS = 20;

  /** Checks ranges. */
  public RecipeData {
    if (length < 2 || window < 1 || bucket != null && bucket < 1) {
      throw new PerformerException(
          "data.length must be at least 2, data.bucket and data.window at least 1: "
              + length
              + ", "
              + bucket
              + ", "
              + window);
    }
  }

  /**
   * With everything filled in.
   *
   * @param file finds a file that a recipe names
   * @throws PerformerException if there is no such file, or keys contradict each other
   */
  RecipeData resolved(UnaryOperator<String> file) {
    if (train == null) {
      throw new PerformerException("data.train is missing: the file to learn from");
    }
    Format of = format == null ? formatOf(train) : format;
    boolean isText = of == Format.TEXT;
    String tokens =
        vocabulary != null
            ? vocabulary
            : isText ? ByteTokenizer.NAME : ProteinVocabulary.GOOGLE_NAME;
    if (isText != ByteTokenizer.isNamed(tokens)) {
      throw new PerformerException(
          "data.format "
              + of.name().toLowerCase(Locale.ROOT)
              + " and data.vocabulary "
              + tokens
              + " do not go together; a text is bytes, FASTA is letters");
    }
    if (isText && (begin || Boolean.TRUE.equals(end))) {
      throw new PerformerException("data.begin and data.end make no sense in pieces of a text");
    }
    return new RecipeData(
        file.apply(train),
        validation == null ? null : file.apply(validation),
        of,
        tokens,
        length,
        bucket != null ? bucket : isText ? length : Math.min(length, Batching.DEFAULT_BUCKET),
        crop,
        begin,
        end != null ? end : !isText && ProteinVocabulary.named(tokens).eos().isPresent(),
        window,
        masking);
  }

  private static Format formatOf(String name) {
    return name.toLowerCase(Locale.ROOT).matches(".*\\.(fa|faa|fasta|fas)(\\.gz)?")
        ? Format.FASTA
        : Format.TEXT;
  }

  /** The tokens. @throws PerformerException if the name is unknown */
  public Vocabulary tokens() {
    return ByteTokenizer.isNamed(vocabulary)
        ? tokenizer().vocabulary()
        : ProteinVocabulary.named(vocabulary);
  }

  /** Batches for training, and those for evaluation. */
  record Split(Batches train, Batches validation) {}

  Split batches(BatchSize size, long seed) {
    Batching training =
        new Batching(length, size, bucket, begin, end, true, crop == Crop.RANDOM, window);
    return format == Format.TEXT ? text(training, seed) : fasta(training, seed);
  }

  private Split fasta(Batching batching, long seed) {
    SequenceSource all = SequenceSource.fasta(Path.of(train));
    HeldOutSplit split =
        validation != null
            ? new HeldOutSplit(all, SequenceSource.fasta(Path.of(validation)))
            : HeldOutSplit.of(all, HeldOutSplit.DEFAULT_EVERY);
    return new Split(
        new SequenceBatches(split.train(), tokens(), batching, seed),
        new SequenceBatches(split.validation(), tokens(), batching.forEvaluation(), seed));
  }

  /** Pieces of twice the length that begin everywhere, cropped, are pieces that begin anywhere. */
  private Split text(Batching batching, long seed) {
    boolean anywhere = crop == Crop.RANDOM;
    Path file = Path.of(train);
    TextChunks pieces = chunks(file, anywhere ? 2 * length : length);
    TextChunks held;
    if (validation != null) {
      held = chunks(Path.of(validation), length);
    } else {
      double kept = 1 - 1.0 / TEXT_PARTS;
      held = chunks(file, length).part(kept, 1);
      pieces = pieces.part(0, kept);
    }
    return new Split(
        new ExampleBatches(pieces, tokens(), batching, seed),
        new ExampleBatches(held, tokens(), batching.forEvaluation(), seed));
  }

  private TextChunks chunks(Path file, int size) {
    return TextChunks.read(file, tokenizer(), size, length);
  }

  private ByteTokenizer tokenizer() {
    return ByteTokenizer.named(vocabulary);
  }
}
