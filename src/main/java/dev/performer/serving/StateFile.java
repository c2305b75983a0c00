package dev.performer.serving;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.DigestInputStream;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.LongStream;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;

/**
 * A text and its states in a file: which model they are of, token ids, how many of them are read,
 * logits, states as float32, and the SHA-256 of all that.
 */
final class StateFile {
  private static final byte[] MAGIC = "performer text 1\n".getBytes(StandardCharsets.US_ASCII);
  private static final int BLOCK = 1 << 20;

  private StateFile() {}

  static void write(TextState text, int[] ids, String model, OutputStream target)
      throws IOException {
    MessageDigest digest = digest();
    var out =
        new DataOutputStream(
            new DigestOutputStream(new BufferedOutputStream(target, BLOCK), digest));
    out.write(MAGIC);
    out.writeUTF(model);
    writeInts(out, ids);
    out.writeInt(text.length());
    int[] logits = new int[text.logits().length];
    Arrays.setAll(logits, i -> Float.floatToRawIntBits(text.logits()[i]));
    writeInts(out, logits);
    Map<String, Tensor> tensors =
        new TreeMap<>(text.rows() == null ? Map.of() : text.rows().tensors());
    out.writeInt(tensors.size());
    for (Tensor tensor : tensors.values()) {
      out.writeLong(tensor.numBytes());
      var data = tensor.asRawTensor().data();
      byte[] block = new byte[BLOCK];
      for (long at = 0; at < data.size(); at += block.length) {
        int length = (int) Math.min(block.length, data.size() - at);
        data.slice(at, length).read(block, 0, length);
        out.write(block, 0, length);
      }
    }
    out.write(digest.digest());
    out.flush();
  }

  private static void writeInts(DataOutputStream out, int[] values) throws IOException {
    out.writeInt(values.length);
    for (int value : values) {
      out.writeInt(value);
    }
  }

  private static MessageDigest digest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every Java has it
    }
  }

  /** What was written. @throws PerformerException if it is damaged, or of another model */
  static GenerationSession.Saved read(Decoder decoder, String model, InputStream source) {
    MessageDigest digest = digest();
    var digested = new DigestInputStream(source, digest);
    var in = new DataInputStream(digested);
    TextState text = null;
    try {
      require(Arrays.equals(in.readNBytes(MAGIC.length), MAGIC), "is no saved session");
      require(
          in.readUTF().equals(model),
          "is a session of another model, or of another version of it; open it there");
      int[] ids = readInts(in);
      int read = in.readInt();
      int[] logits = readInts(in);
      var limits = decoder.limits();
      require(
          read >= 0 && read <= ids.length && logits.length == limits.vocabularySize(),
          "the session is damaged");
      float[] floats = new float[logits.length];
      for (int i = 0; i < floats.length; i++) {
        floats[i] = Float.intBitsToFloat(logits[i]);
      }
      text = decoder.restore(Arrays.copyOf(ids, read), floats, new Source(in));
      byte[] expected = digest.digest();
      digested.on(false);
      boolean isWhole = Arrays.equals(in.readNBytes(expected.length), expected);
      require(isWhole && in.read() < 0, "the session is damaged");
      for (int id : ids) {
        require(id >= 0 && id < limits.vocabularySize(), "the session is damaged");
      }
      return new GenerationSession.Saved(text, ids);
    } catch (EOFException e) {
      close(text);
      throw new PerformerException("the session ends too early; it is damaged", e);
    } catch (IOException e) {
      close(text);
      throw new PerformerException("the session cannot be read: " + e.getMessage(), e);
    } catch (RuntimeException | OutOfMemoryError e) {
      close(text);
      throw e;
    }
  }

  private static void close(TextState text) {
    if (text != null) {
      text.close();
    }
  }

  /** Takes memory only as the source has so much. */
  private static int[] readInts(DataInputStream in) throws IOException {
    int count = in.readInt();
    require(count >= 0 && count < Integer.MAX_VALUE / 4, "the session is damaged");
    byte[] bytes = in.readNBytes(4 * count);
    if (bytes.length < 4 * count) {
      throw new EOFException();
    }
    int[] values = new int[count];
    ByteBuffer.wrap(bytes).order(ByteOrder.BIG_ENDIAN).asIntBuffer().get(values);
    return values;
  }

  /** The states of a text that is being read. */
  record Source(DataInputStream in) {
    /** Of one text that has so many columns in the states that grow. */
    StateRows rows(StateLayout layout, int columns) throws IOException {
      Map<String, Shape> shapes = new TreeMap<>(layout.shapes());
      require(in.readInt() == shapes.size(), "the session is damaged");
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      try {
        for (String name : shapes.keySet()) {
          tensors.put(name, tensor(name, shapes.get(name), columns));
        }
        return StateRows.own(tensors);
      } catch (IOException | RuntimeException | OutOfMemoryError e) {
        tensors.values().forEach(Tensor::close);
        throw e;
      }
    }

    private Tensor tensor(String name, Shape shape, int columns) throws IOException {
      long[] sizes = LongStream.of(shape.asArray()).map(n -> n < 0 ? columns : n).toArray();
      sizes[0] = 1;
      Shape own = Shape.of(sizes);
      require(
          in.readLong() == own.size() * Float.BYTES,
          "the state %s of the session is damaged",
          name);
      Tensor tensor = TFloat32.tensorOf(own);
      try {
        var data = tensor.asRawTensor().data();
        byte[] block = new byte[(int) Math.min(BLOCK, data.size())];
        for (long at = 0; at < data.size(); at += block.length) {
          int length = (int) Math.min(block.length, data.size() - at);
          in.readFully(block, 0, length);
          data.slice(at, length).write(block, 0, length);
        }
        return tensor;
      } catch (IOException | RuntimeException e) {
        tensor.close();
        throw e;
      }
    }

    void none() throws IOException {
      require(in.readInt() == 0, "the session is damaged");
    }
  }
}
