package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.FastaReader;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.ResidueEncoder;
import dev.performer.data.SequenceStream;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Sequences of a file as token ids, padded to the longest.
 *
 * @param source where they come from, for messages
 * @param ids one array per sequence, without padding
 * @param pad the id of padding
 * @param report one line on letters outside the vocabulary, if there were any
 */
record TokenizedSequences(Path source, List<int[]> ids, int pad, Optional<String> report) {

  /** Reads FASTA, or text with one sequence a line. */
  static TokenizedSequences read(Path file, boolean text, Vocabulary vocabulary, int length) {
    ResidueEncoder encoder = new ResidueEncoder(vocabulary);
    List<int[]> ids = new ArrayList<>();
    for (String residues : text ? lines(file) : fasta(file)) {
      int[] tokens = encoder.encode(residues);
      if (vocabulary.eos().isPresent()) {
        tokens = Arrays.copyOf(tokens, tokens.length + 1);
        tokens[tokens.length - 1] = vocabulary.eos().getAsInt();
      }
      ids.add(tokens.length > length ? Arrays.copyOf(tokens, length) : tokens);
    }
    if (ids.isEmpty()) {
      throw new PerformerException(file + ": holds no sequence");
    }
    return new TokenizedSequences(file, ids, vocabulary.pad().orElse(0), encoder.report());
  }

  private static List<String> fasta(Path file) {
    List<String> residues = new ArrayList<>();
    try (SequenceStream stream = FastaReader.open(file)) {
      while (stream.hasNext()) {
        residues.add(stream.next().residues());
      }
    }
    return residues;
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file).stream()
          .map(String::strip)
          .filter(line -> !line.isEmpty())
          .toList();
    } catch (IOException | UncheckedIOException e) {
      throw new PerformerException(file + ": cannot be read as text: " + e, e);
    }
  }

  /**
   * Runs a signature over all sequences, some at a time.
   *
   * @param batch sequences at a time; a fixed length or number of sequences of the model is kept to
   * @return the outputs, joined over the sequences; 'tokens' [N, L] and 'lengths' [N]
   */
  Map<String, NpyArray> predict(
      SavedModelPredictor predictor, LanguageModelOptions.Tokenized how, int batch) {
    SignatureSpec signature = predictor.directory().signature(how.signature());
    TensorSpec tokens = signature.input(how.tokens());
    int longest = ids.stream().mapToInt(a -> a.length).max().orElseThrow();
    int length = fixed(tokens, 1) > 0 ? fixed(tokens, 1) : Math.max(longest, how.paddedLength());
    int limit =
        fixed(tokens, 1) > 0 ? length : how.maxLength() > 0 ? how.maxLength() : Integer.MAX_VALUE;
    if (longest > limit) {
      throw new PerformerException(
          source
              + ": a sequence has "
              + longest
              + " tokens, but the model takes "
              + limit
              + "; crop with --length "
              + limit);
    }
    int rows = fixed(tokens, 0) > 0 ? fixed(tokens, 0) : Math.min(batch, ids.size());
    Map<String, List<NpyArray>> parts = new LinkedHashMap<>();
    for (int first = 0; first < ids.size(); first += rows) {
      int real = Math.min(rows, ids.size() - first);
      int size = fixed(tokens, 0) > 0 ? rows : real;
      for (Map.Entry<String, NpyArray> e :
          predictor
              .predict(how.signature(), feeds(signature, how, first, size, length))
              .entrySet()) {
        parts
            .computeIfAbsent(e.getKey(), k -> new ArrayList<>())
            .add(head(e.getKey(), e.getValue(), real, size));
      }
    }
    Map<String, NpyArray> outputs = new LinkedHashMap<>();
    parts.forEach((name, list) -> outputs.put(name, join(list)));
    outputs.put("tokens", NpyArray.of(padded(0, ids.size(), length), ids.size(), length));
    outputs.put("lengths", NpyArray.of(ids.stream().mapToInt(a -> a.length).toArray(), ids.size()));
    return outputs;
  }

  private Map<String, NpyArray> feeds(
      SignatureSpec signature,
      LanguageModelOptions.Tokenized how,
      int first,
      int size,
      int length) {
    int[] real = new int[size * length];
    for (int r = 0; r < size && first + r < ids.size(); r++) {
      Arrays.fill(real, r * length, r * length + ids.get(first + r).length, 1);
    }
    int[] tokens = padded(first, size, length);
    return SequenceFeeds.of(signature, how.tokens(), how.mask(), tokens, real, size, length);
  }

  /** {@code [size, length]}; rows beyond the last sequence are all padding. */
  private int[] padded(int first, int size, int length) {
    int[] flat = new int[Math.multiplyExact(size, length)];
    Arrays.fill(flat, pad);
    for (int r = 0; r < size && first + r < ids.size(); r++) {
      int[] row = ids.get(first + r);
      System.arraycopy(row, 0, flat, r * length, row.length);
    }
    return flat;
  }

  private static NpyArray head(String name, NpyArray array, int real, int size) {
    long[] shape = array.shape().clone();
    if (shape.length == 0 || shape[0] != size) {
      throw new PerformerException(
          "output "
              + name
              + " "
              + array
              + " has no row per sequence; run this signature with an .npz");
    }
    if (real == size) {
      return array;
    }
    shape[0] = real;
    return new NpyArray(
        array.type(), shape, Arrays.copyOf(array.bytes(), array.bytes().length / size * real));
  }

  private static NpyArray join(List<NpyArray> parts) {
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

  private static int fixed(TensorSpec spec, int dimension) {
    return spec.shape().isUnknown() ? 0 : (int) Math.max(0, spec.shape().get(dimension));
  }
}
