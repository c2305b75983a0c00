package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;

/**
 * PyTorch's pickles, which are programs and so are never read: they are recognized to say what to
 * do.
 */
final class PytorchPickle {
  private static final int PROTOCOL = 0x80; // the first opcode of every pickle since protocol 2

  private PytorchPickle() {}

  /** Whether a file is a pickle, or a zip with one inside as {@code torch.save} writes it. */
  static boolean recognizes(Path file) {
    byte[] start;
    try (InputStream in = RegularFiles.newInputStream(file)) {
      start = in.readNBytes(2);
    } catch (IOException e) {
      return false;
    }
    if (start.length == 2 && start[0] == (byte) PROTOCOL) {
      return start[1] >= 1 && start[1] <= 5;
    }
    return OpenedWeights.isZipWith(file, name -> name.matches("(.*/)?data\\.pkl"));
  }

  /** The refusal, with the Python line that makes a file that is read. */
  static PerformerException refusal(Path file) {
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
