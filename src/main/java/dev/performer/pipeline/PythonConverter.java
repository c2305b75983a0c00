package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * ONNX and TensorFlow Lite of one signature, by Python's converters: tf2onnx, and TensorFlow's own.
 *
 * @param python the interpreter, one that has tensorflow and, for ONNX, tf2onnx; null if there is
 *     none, and then nothing is converted
 * @param format what is written
 * @param signature the one that is converted
 * @param quantize whether weights are stored in 8 bits, which TensorFlow Lite can
 * @param file where it goes; written beside and moved there
 * @param replace whether a file that is there is replaced
 */
public record PythonConverter(
    Path python, Format format, String signature, boolean quantize, Path file, boolean replace) {
  private static final String SCRIPT = "convert.py";
  private static final String NOTE = "note: ";
  private static final String FAILED = "failed: ";

  /** What a model becomes. */
  public enum Format {
    ONNX("ONNX", "tensorflow 2.18 and tf2onnx 1.17"),
    TFLITE("TensorFlow Lite", "tensorflow 2.18");

    private final String label;
    private final String packages;

    Format(String label, String packages) {
      this.label = label;
      this.packages = packages;
    }
  }

  public PythonConverter {
    boolean isSound = !quantize || format == Format.TFLITE;
    require(isSound, "weights in 8 bits are TensorFlow Lite's; ONNX has them in floats");
  }

  /**
   * Converts a SavedModel.
   *
   * @return what has to be known about the file, one line each
   * @throws PerformerException with Python's own reason where it fails; there is no file then
   */
  List<String> convert(Path model) {
    requireReady();
    Path place = file.toAbsolutePath().normalize();
    Path part = AtomicFiles.beside(place, "part");
    try {
      Files.createDirectories(place.getParent());
      List<String> answer = run(model.toAbsolutePath(), part);
      String text = "%s cannot be converted to %s by %s: %s";
      var failure = answer.stream().filter(line -> line.startsWith(FAILED)).findFirst();
      boolean isThere = Files.isRegularFile(part);
      String why = failure.map(f -> f.substring(FAILED.length())).orElse("it wrote no file");
      why = why.replace(part.toString(), file.toString());
      require(failure.isEmpty() && isThere, text, model, format.label, python, why);
      AtomicFiles.move(part, place);
      var notes = answer.stream().filter(line -> line.startsWith(NOTE));
      return notes.map(line -> file + " " + line.substring(NOTE.length())).toList();
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be written: " + AtomicFiles.describe(e), e);
    } finally {
      AtomicFiles.discard(part);
    }
  }

  /** Fails where there is no Python, or the file is taken, before any work is done. */
  void requireReady() {
    if (python == null) {
      String text =
          "%s is written by a Python that has %s; name one, or convert the SavedModel there as docs/serving.md shows";
      throw new PerformerException(text.formatted(format.label, format.packages))
          .settledBy("python");
    }
    boolean isFree = replace ? !Files.isDirectory(file) : !Files.exists(file);
    if (!isFree) {
      throw new PerformerException(file + " exists; choose another file or have it replaced")
          .settledBy("replace");
    }
  }

  private List<String> run(Path model, Path part) throws IOException {
    var builder =
        new ProcessBuilder(
            python.toString(),
            "-",
            format.name().toLowerCase(Locale.ROOT),
            model.toString(),
            signature,
            part.toString(),
            Boolean.toString(quantize));
    builder.environment().putIfAbsent("TF_CPP_MIN_LOG_LEVEL", "3");
    builder.environment().putIfAbsent("CUDA_VISIBLE_DEVICES", "-1");
    builder.redirectError(ProcessBuilder.Redirect.DISCARD);
    Process process;
    try {
      process = builder.start();
    } catch (IOException e) {
      String text = "the Python %s cannot be started: %s";
      throw new PerformerException(text.formatted(python, AtomicFiles.describe(e)), e)
          .settledBy("python");
    }
    try (InputStream script = PythonConverter.class.getResourceAsStream(SCRIPT)) {
      try (OutputStream stdin = process.getOutputStream()) {
        script.transferTo(stdin);
      } catch (IOException e) {
        // No Python read it; what was printed, or that nothing was, goes into the message.
      }
      byte[] printed = process.getInputStream().readAllBytes();
      process.waitFor();
      return new String(printed, StandardCharsets.UTF_8).lines().toList();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("the conversion was interrupted", e);
    } finally {
      process.destroyForcibly();
    }
  }
}
