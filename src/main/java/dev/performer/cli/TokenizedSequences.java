package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.Npz;
import dev.performer.data.ProteinSequence;
import dev.performer.data.SequenceSource;
import dev.performer.data.SequenceStream;
import dev.performer.data.TableFile;
import dev.performer.data.TextEncoder;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Sequences or texts of a file as token ids.
 *
 * @param source where they come from, for messages
 * @param names the id of each: of FASTA or a column id, else a number from 1
 * @param encodings of each, without padding
 * @param report one line on what was not taken as it stood, if anything
 */
record TokenizedSequences(
    Path source, List<String> names, List<Tokenizer.Encoding> encodings, Optional<String> report) {

  /**
   * Reads FASTA, lines of a .txt, the column sequence or text of a table, or token ids of an .npz.
   *
   * @param length tokens at most, with those around a text; longer ones are cropped
   * @throws PerformerException if there is no sequence, or the file is broken
   */
  static TokenizedSequences read(Path file, Tokenizer tokenizer, int length) {
    String name = file.toString().toLowerCase(Locale.ROOT);
    TextEncoder encoder = tokenizer.encoder();
    List<String> names = new ArrayList<>();
    List<Tokenizer.Encoding> encodings = new ArrayList<>();
    if (name.endsWith(".npz")) {
      for (int[] ids : rows(file, tokenizer)) {
        names.add(Integer.toString(names.size() + 1));
        int kept = Math.min(ids.length, length);
        encodings.add(new Tokenizer.Encoding(Arrays.copyOf(ids, kept), 0, kept, ids.length - kept));
      }
    } else {
      try (SequenceStream stream = TableFile.isNamed(file) ? table(file) : open(file)) {
        while (stream.hasNext()) {
          ProteinSequence sequence = stream.next();
          names.add(sequence.id());
          encodings.add(tokenizer.framed(encoder.encode(sequence.residues()), length));
        }
      }
    }
    if (encodings.isEmpty()) {
      throw new PerformerException(file + ": holds no sequence");
    }
    return new TokenizedSequences(file, names, encodings, report(encoder, encodings, length));
  }

  private static SequenceStream open(Path file) {
    return SequenceSource.file(file).open();
  }

  private static SequenceStream table(Path file) {
    List<Map<String, String>> rows = TableFile.of(file).read();
    Set<String> columns = rows.get(0).keySet();
    String text = columns.contains("sequence") ? "sequence" : "text";
    if (!columns.contains(text)) {
      throw new PerformerException(
          file + ": has columns " + columns + "; expected one named sequence or text");
    }
    List<ProteinSequence> sequences = new ArrayList<>();
    for (Map<String, String> row : rows) {
      String id = row.getOrDefault("id", Integer.toString(sequences.size() + 1));
      sequences.add(new ProteinSequence(id, "", row.get(text)));
    }
    return SequenceSource.of(sequences).open();
  }

  /** Rows without the padding behind them. */
  private static List<int[]> rows(Path file, Tokenizer tokenizer) {
    Map<String, NpyArray> arrays = Npz.read(file);
    NpyArray tokens =
        arrays.containsKey("tokens") || arrays.size() != 1
            ? arrays.get("tokens")
            : arrays.values().iterator().next();
    boolean isWhole =
        tokens != null && (tokens.type() == NpyType.INT32 || tokens.type() == NpyType.INT64);
    if (!isWhole || tokens.shape().length != 2) {
      throw new PerformerException(
          file + ": expected token ids in an array tokens [N, L] of int32 or int64; has " + arrays);
    }
    OptionalInt pad = tokenizer.vocabulary().pad();
    double[] values = tokens.doubles();
    int width = (int) tokens.shape()[1];
    List<int[]> rows = new ArrayList<>();
    for (int r = 0; r < tokens.shape()[0]; r++) {
      int[] ids = new int[width];
      int real = 0;
      for (int i = 0; i < width; i++) {
        ids[i] = (int) values[r * width + i];
        if (values[r * width + i] < 0 || values[r * width + i] >= Integer.MAX_VALUE) {
          throw new PerformerException(
              file + ": tokens[" + r + ", " + i + "] is no token id: " + values[r * width + i]);
        }
        real = pad.isPresent() && pad.getAsInt() == ids[i] ? real : i + 1;
      }
      rows.add(Arrays.copyOf(ids, real));
    }
    return rows;
  }

  private static Optional<String> report(
      TextEncoder encoder, List<Tokenizer.Encoding> encodings, int length) {
    long cropped = encodings.stream().filter(e -> e.cropped() > 0).count();
    List<String> parts = new ArrayList<>(encoder.report().stream().toList());
    if (cropped > 0) {
      parts.add(
          cropped + " of " + encodings.size() + " sequences were cropped to " + length + " tokens");
    }
    return parts.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", parts));
  }

  /** The ids of each, without padding. */
  List<int[]> ids() {
    return encodings.stream().map(Tokenizer.Encoding::ids).toList();
  }

  /** Tokens of the longest. */
  int longest() {
    return encodings.stream().mapToInt(e -> e.ids().length).max().orElseThrow();
  }

  /**
   * Runs a signature over all sequences, some at a time.
   *
   * @param batch sequences at a time; a fixed length or number of sequences of the model is kept to
   * @return the outputs, joined over the sequences; 'tokens' [N, L] and 'lengths' [N]
   */
  Map<String, NpyArray> predict(
      SavedModelPredictor predictor, LanguageModelOptions.Tokenized how, int batch) {
    SequenceRunner runner = new SequenceRunner(predictor, how);
    requireFit(runner.limit());
    List<int[]> ids = ids();
    int length = runner.length(longest());
    int rows = runner.rows(Math.min(batch, ids.size()));
    Map<String, List<NpyArray>> parts = new LinkedHashMap<>();
    for (int first = 0; first < ids.size(); first += rows) {
      runner
          .run(ids.subList(first, Math.min(ids.size(), first + rows)), length)
          .forEach((name, y) -> parts.computeIfAbsent(name, k -> new ArrayList<>()).add(y));
    }
    Map<String, NpyArray> outputs = new LinkedHashMap<>();
    parts.forEach((name, list) -> outputs.put(name, join(list)));
    outputs.putAll(arrays(runner, length));
    return outputs;
  }

  /** 'tokens' [N, L] and 'lengths' [N]. */
  Map<String, NpyArray> arrays(SequenceRunner runner, int length) {
    List<int[]> ids = ids();
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put("tokens", NpyArray.of(runner.padded(ids, ids.size(), length), ids.size(), length));
    arrays.put("lengths", NpyArray.of(ids.stream().mapToInt(a -> a.length).toArray(), ids.size()));
    return arrays;
  }

  private void requireFit(int limit) {
    if (longest() > limit) {
      throw new PerformerException(
          source
              + ": a sequence has "
              + longest()
              + " tokens, but the model takes "
              + limit
              + "; crop with --length "
              + limit);
    }
  }

  static NpyArray join(List<NpyArray> parts) {
    long[] shape = parts.get(0).shape().clone();
    shape[0] = parts.stream().mapToLong(p -> p.shape()[0]).sum();
    NpyType type = parts.get(0).type();
    byte[] bytes =
        new byte[parts.stream().mapToInt(p -> p.bytes().length).reduce(0, Math::addExact)];
    int at = 0;
    for (NpyArray part : parts) {
      System.arraycopy(part.bytes(), 0, bytes, at, part.bytes().length);
      at += part.bytes().length;
    }
    return new NpyArray(type, shape, bytes);
  }
}
