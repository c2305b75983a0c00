package dev.performer.recipe;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.StrictJson;
import dev.performer.data.Tokenizer;
import dev.performer.model.Task;
import dev.performer.recipe.RecipeData.Kind;
import java.nio.file.Path;
import java.util.function.UnaryOperator;

/** Checks the section {@code data} of a recipe and fills in what it leaves out. */
final class DataDefaults {
  private DataDefaults() {}

  /** With everything filled in that follows from other keys and the names of files, once found. */
  static RecipeData named(
      Task task, ObjectNode section, UnaryOperator<String> file, String source) {
    RecipeData written = RecipeData.of(section, source);
    boolean isMade = written.kind() != null && written.kind().isExercise();
    require(written.train() != null || isMade, "data.train is missing: the file to learn from");
    String found = written.train() == null ? null : file.apply(written.train());
    Kind kind = written.kind() == null ? Kind.of(found) : written.kind();
    check(kind, section);
    RecipeTask.of(task).check(kind, section);
    String tokens = kind.ownsTokens() ? kind.label() : tokens(kind, written.vocabulary(), file);
    boolean isOdd =
        kind == Kind.TEXT && isLetters(kind, tokens)
            || kind == Kind.FASTA && ByteTokenizer.isNamed(tokens);
    String odd =
        "data.kind %s and data.vocabulary %s do not go together; a text is bytes or a tokenizer.json's, FASTA is letters";
    require(!isOdd, odd, kind.label(), tokens);
    ObjectNode keys = section.deepCopy().put("train", found).put("vocabulary", tokens);
    keys.set("kind", StrictJson.tree(kind));
    if (written.validation() != null) {
      keys.put("validation", file.apply(written.validation()));
    }
    RecipeTask.of(task).complete(kind, keys);
    keys.put("begin", keys.path("begin").asBoolean());
    if (kind.isExercise()) {
      keys.withObjectProperty("exercise"); // made where it lacks
    }
    keys.put("text", keys.path("text").asText(text(kind, tokens)));
    String label = section.path("label").textValue();
    if (kind == Kind.PIXELS) {
      label = DataFormat.Pixels.label(label, task.hasLabels(), Path.of(found), file);
    }
    keys.put("label", label == null && task.hasLabels() ? RecipeData.LABEL : label);
    return RecipeData.of(keys, source);
  }

  /** Whether the written keys fit the kind. */
  private static void check(Kind kind, ObjectNode data) {
    String own = kind.label();
    boolean isFree = !kind.ownsTokens() || data.path("vocabulary").asText(own).equals(own);
    require(isFree, "data.vocabulary makes no sense with data.kind %s, which has its own", own);
    boolean isMade = kind.isExercise();
    boolean hasFiles = data.hasNonNull("train") || data.hasNonNull("validation");
    String madeUp =
        "data.train and data.validation make no sense with data.kind %s, which is made up";
    require(!isMade || !hasFiles, madeUp, own);
    boolean hasSizes = data.hasNonNull("exercise");
    require(isMade || !hasSizes, "data.exercise needs data.kind copy or retrieval, or listops");
    boolean isOfBytes = ByteTokenizer.isNamed(data.path("vocabulary").asText(ByteTokenizer.NAME));
    boolean hasEnd = data.path("end").asBoolean() && isOfBytes;
    boolean hasEnds = data.path("begin").asBoolean() || hasEnd;
    boolean isCut = kind == Kind.TEXT;
    require(!isCut || !hasEnds, "data.begin and data.end make no sense in pieces of a text");
  }

  private static String tokens(Kind kind, String vocabulary, UnaryOperator<String> file) {
    if (vocabulary == null) {
      return kind == Kind.TEXT ? ByteTokenizer.NAME : ProteinVocabulary.GOOGLE_NAME;
    }
    return RecipeData.isFile(vocabulary) ? file.apply(vocabulary) : vocabulary;
  }

  private static boolean isLetters(Kind kind, String vocabulary) {
    return !kind.ownsTokens()
        && !ByteTokenizer.isNamed(vocabulary)
        && !RecipeData.isFile(vocabulary);
  }

  /** The column or feature with the sequence. */
  static String text(Kind kind, String vocabulary) {
    return kind == Kind.TFRECORD || isLetters(kind, vocabulary) ? "sequence" : "text";
  }

  /** Whether {@link #measured} reads data. @param isCounted whether the model has its classes */
  static boolean dependsOnFiles(RecipeData data, Task task, boolean isCounted) {
    return data.format() instanceof DataFormat.Pixels images
            && (images.levels() == null || data.length() == null)
        || RecipeTask.of(task).dependsOnFiles(data, isCounted);
  }

  /**
   * What {@link #named} gave, with everything else filled in: what the files hold. XLA compiles a
   * step anew for every length.
   */
  static RecipeData measured(RecipeData data, Task task, boolean isCompiled) {
    RecipeData known = data.format().measured(data);
    int longest = requireNonNullElse(known.length(), Batching.DEFAULT_LENGTH);
    RecipeData sized = known.with(keys -> keys.put("length", longest));
    boolean isOneShape = data.kind().ownsTokens() || data.kind() == Kind.TEXT;
    boolean isOneLength = isOneShape || isCompiled;
    int multiple = isOneLength ? longest : Math.min(longest, Batching.DEFAULT_BUCKET);
    int bucket = requireNonNullElse(data.bucket(), multiple);
    boolean isPacked = sized.format().packing(sized).isPresent();
    Tokenizer tokenizer = sized.tokenizer();
    var ends = isPacked ? tokenizer.ends() : tokenizer.vocabulary().eos();
    boolean hasEnd = (isPacked || !isOneShape) && ends.isPresent();
    boolean end = requireNonNullElse(data.end(), hasEnd);
    RecipeData whole = sized.with(keys -> keys.put("end", end).put("bucket", bucket));
    return RecipeTask.of(task).measured(whole);
  }
}
