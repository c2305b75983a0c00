package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.ProteinSequence;
import dev.performer.data.SequenceSource;
import dev.performer.data.SequenceStream;
import dev.performer.data.TextEncoder;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Sequences or texts of a file as token ids, padded to the longest.
 *
 * @param source where they come from, for messages
 * @param names the id of each: of FASTA, else the number of its line
 * @param encodings of each, without padding
 * @param pad the id of padding
 * @param report one line on what was not taken as it stood, if anything
 */
record TokenizedSequences(
    Path source,
    List<String> names,
    List<Tokenizer.Encoding> encodings,
    int pad,
    Optional<String> report) {

  /**
   * Reads FASTA, or text with one sequence a line.
   *
   * @param length tokens at most, with those around a text; longer ones are cropped
   */
  static TokenizedSequences read(Path file, Tokenizer tokenizer, int length) {
    TextEncoder encoder = tokenizer.encoder();
    List<String> names = new ArrayList<>();
    List<Tokenizer.Encoding> encodings = new ArrayList<>();
    try (SequenceStream stream = SequenceSource.file(file).open()) {
      while (stream.hasNext()) {
        ProteinSequence sequence = stream.next();
        names.add(sequence.id());
        encodings.add(tokenizer.framed(encoder.encode(sequence.residues()), length));
      }
    }
    if (encodings.isEmpty()) {
      throw new PerformerException(file + ": holds no sequence");
    }
    return new TokenizedSequences(
        file,
        names,
        encodings,
        tokenizer.vocabulary().pad().orElse(0),
        report(encoder, encodings, length));
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
    List<int[]> ids = ids();
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
    List<int[]> ids = ids();
    int[] real = new int[size * length];
    for (int r = 0; r < size && first + r < ids.size(); r++) {
      Arrays.fill(real, r * length, r * length + ids.get(first + r).length, 1);
    }
    int[] tokens = padded(first, size, length);
    return SequenceFeeds.of(signature, how.tokens(), how.mask(), tokens, real, size, length);
  }

  /** {@code [size, length]}; rows beyond the last sequence are all padding. */
  private int[] padded(int first, int size, int length) {
    List<int[]> ids = ids();
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
