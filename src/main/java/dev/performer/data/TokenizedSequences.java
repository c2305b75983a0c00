package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Sequences or texts of a source as token ids.
 *
 * @param names the id of each: of FASTA or a column id, else a number from 1
 * @param report one line on what was not taken as it stood, if anything
 */
public record TokenizedSequences(
    String source,
    List<String> names,
    List<Tokenizer.Encoding> encodings,
    Optional<String> report) {
  /** Texts in memory, numbered from 1; those of more tokens than the length are cropped. */
  public static TokenizedSequences of(List<String> texts, Tokenizer tokenizer, int length) {
    List<ProteinSequence> sequences = new ArrayList<>();
    texts.forEach(
        text -> sequences.add(new ProteinSequence("" + (sequences.size() + 1), "", text)));
    return read(SequenceSource.of(sequences), tokenizer, length);
  }

  /** The same of any source; its ids are the names. */
  public static TokenizedSequences read(SequenceSource source, Tokenizer tokenizer, int length) {
    TextEncoder encoder = tokenizer.encoder();
    List<String> names = new ArrayList<>();
    List<Tokenizer.Encoding> encodings = new ArrayList<>();
    try (DataStream<ProteinSequence> stream = source.open()) {
      while (stream.hasNext()) {
        ProteinSequence sequence = stream.next();
        names.add(sequence.id());
        encodings.add(tokenizer.framed(encoder.encode(sequence.residues()), length));
      }
    }
    return of(source.name(), names, encodings, encoder.report(), length);
  }

  /**
   * Reads FASTA, lines of a .txt, the column sequence or text of a table, or token ids of an .npz.
   *
   * @param length tokens at most, with those around a text; longer ones are cropped
   * @throws PerformerException if there is no sequence, or the file is broken
   */
  public static TokenizedSequences read(Path file, Tokenizer tokenizer, int length) {
    if (!file.toString().matches("(?i).*\\.npz")) {
      boolean isTable = TableFile.isNamed(file);
      return read(isTable ? table(file) : SequenceSource.file(file), tokenizer, length);
    }
    List<String> names = new ArrayList<>();
    List<Tokenizer.Encoding> encodings = new ArrayList<>();
    String negative = "%s: row %d of tokens holds a number below 0, which is no id";
    for (int[] ids : TokenRows.read(file, tokenizer.vocabulary().pad())) {
      require(Arrays.stream(ids).allMatch(id -> id >= 0), negative, file, names.size());
      names.add("" + (names.size() + 1));
      int kept = Math.min(ids.length, length);
      encodings.add(new Tokenizer.Encoding(Arrays.copyOf(ids, kept), 0, kept, ids.length - kept));
    }
    return of(file.toString(), names, encodings, Optional.empty(), length);
  }

  /** Sequences that are read; {@code encoded} is a line on how they were, if anything. */
  public static TokenizedSequences of(
      String source,
      List<String> names,
      List<Tokenizer.Encoding> encodings,
      Optional<String> encoded,
      int length) {
    require(!encodings.isEmpty(), "%s: holds no sequence", source);
    long cropped = encodings.stream().filter(e -> e.cropped() > 0).count();
    String note =
        "%d of %d sequences were cropped to %d tokens".formatted(cropped, encodings.size(), length);
    Optional<String> report =
        cropped == 0 ? encoded : Optional.of(encoded.map(e -> e + "; " + note).orElse(note));
    return new TokenizedSequences(source, names, encodings, report);
  }

  /** The column sequence or text. */
  private static SequenceSource table(Path file) {
    List<Map<String, String>> rows = TableFile.of(file).read();
    Set<String> columns = rows.get(0).keySet();
    String text = columns.contains("sequence") ? "sequence" : "text";
    String unfit = "%s: has columns [%s]; expected one named sequence or text";
    require(columns.contains(text), unfit, file, Excerpt.names(columns));
    List<ProteinSequence> sequences = new ArrayList<>();
    for (Map<String, String> row : rows) {
      String id = row.getOrDefault("id", "" + (sequences.size() + 1));
      sequences.add(new ProteinSequence(id, "", row.get(text)));
    }
    return SequenceSource.of(file.toString(), () -> DataStream.of(sequences.iterator()));
  }

  /** The ids of each, without padding. */
  public List<int[]> ids() {
    return encodings.stream().map(Tokenizer.Encoding::ids).toList();
  }

  /** Tokens of the longest. */
  public int longest() {
    return encodings.stream().mapToInt(e -> e.ids().length).max().orElseThrow();
  }
}
