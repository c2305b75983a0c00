package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipFile;

/**
 * PyTorch's pickles, which are programs and so are never read: they are recognized to say what to
 * do.
 */
public final class PytorchPickle {
  private static final int PROTOCOL = 0x80; // the first opcode of every pickle since protocol 2

  private PytorchPickle() {}

  /** Whether a file is a pickle, or a zip with one inside as {@code torch.save} writes it. */
  public static boolean recognizes(Path file) {
    if (!Files.isRegularFile(file)) {
      return false;
    }
    try (InputStream in = Files.newInputStream(file)) {
      byte[] start = in.readNBytes(4);
      if (start.length < 2) {
        return false;
      }
      if ((start[0] & 0xff) == PROTOCOL) {
        return start[1] >= 1 && start[1] <= 5;
      }
      return start[0] == 'P' && start[1] == 'K' && hasPickle(file);
    } catch (IOException e) {
      return false;
    }
  }

  private static boolean hasPickle(Path file) throws IOException {
    try (ZipFile zip = new ZipFile(file.toFile())) {
      return zip.stream().anyMatch(entry -> entry.getName().matches("(.*/)?data\\.pkl"));
    } catch (IllegalArgumentException e) { // names that are no UTF-8
      return false;
    }
  }

  /** The refusal, with the Python line that makes a file that is read. */
  public static PerformerException refusal(Path file) {
    String from = file.getFileName().toString().replace("'", "\\'");
    String to = from.replaceFirst("\\.[^.]*$", "") + ".safetensors";
    return new PerformerException(
        ("%s is a PyTorch pickle, a program that is not run here; turn it into"
                + " safetensors with: python -c \"import torch, safetensors.torch as s; w ="
                + " torch.load('%s', map_location='cpu', weights_only=True); w ="
                + " w.get('state_dict', w); s.save_file({k: v.clone().contiguous() for k, v in"
                + " w.items() if torch.is_tensor(v)}, '%s')\"")
            .formatted(file, from, to));
  }
}
