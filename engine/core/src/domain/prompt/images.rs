//! What pictures cost: each provider cuts them into units of its own, so a prompt holds how many
//! units its pictures are in every way that is known, and a model family says which of them it counts.

use serde::{Deserialize, Serialize};

use crate::domain::snapshot::required;

/// A way to cut a picture. Sizes in pixels; larger pictures are scaled down before they are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageUnit {
    /// The picture, whatever its size.
    Image,
    /// Squares of 512, of at most 2048 by 2048, then at most 768 on the short side.
    #[serde(rename = "tile_512")]
    Tile512,
    /// Squares of 768 or less, a third more than needed; a small picture is one.
    #[serde(rename = "tile_768")]
    Tile768,
    /// Squares of 32, at most 1536 of them.
    #[serde(rename = "patch_32")]
    Patch32,
    /// Squares of 32, at most 10,000 of them.
    #[serde(rename = "patch_32_large")]
    Patch32Large,
    /// Squares of 28, at most 1568 of them and 1568 on the long side.
    #[serde(rename = "patch_28")]
    Patch28,
    /// Squares of 28, at most 4784 of them and 2576 on the long side.
    #[serde(rename = "patch_28_large")]
    Patch28Large,
}

/// Pictures, and how many units they are together, in each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    pub count: u32,
    pub tile_512: u32,
    pub tile_768: u32,
    pub patch_32: u32,
    pub patch_32_large: u32,
    pub patch_28: u32,
    pub patch_28_large: u32,
}

/// How a model family counts: `each` picture, each `unit` of it in the way `by`; `low`: a picture asked
/// for in low detail, where there is such a thing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCounting {
    pub by: ImageUnit,
    pub each: f64,
    pub unit: f64,
    #[serde(deserialize_with = "required")]
    pub low: Option<f64>,
}

impl Images {
    /// Takes in a picture of this many pixels.
    pub fn add(&mut self, width: u32, height: u32) {
        let (wide, high) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let add = |sum: &mut u32, units: u32| *sum = sum.saturating_add(units);
        add(&mut self.count, 1);
        add(&mut self.tile_512, tile_512(wide, high));
        add(&mut self.tile_768, tile_768(wide, high));
        add(&mut self.patch_32, patches(wide, high, (32.0, 1536.0, f64::MAX)));
        add(&mut self.patch_32_large, patches(wide, high, (32.0, 10_000.0, 6000.0)));
        add(&mut self.patch_28, patches(wide, high, (28.0, 1568.0, 1568.0)));
        add(&mut self.patch_28_large, patches(wide, high, (28.0, 4784.0, 2576.0)));
    }

    fn units(&self, by: ImageUnit) -> u32 {
        match by {
            ImageUnit::Image => self.count,
            ImageUnit::Tile512 => self.tile_512,
            ImageUnit::Tile768 => self.tile_768,
            ImageUnit::Patch32 => self.patch_32,
            ImageUnit::Patch32Large => self.patch_32_large,
            ImageUnit::Patch28 => self.patch_28,
            ImageUnit::Patch28Large => self.patch_28_large,
        }
    }
}

impl ImageCounting {
    /// Tokens of `all` pictures, of which some are asked for in `low` detail.
    #[must_use]
    pub fn tokens(&self, all: &Images, low: &Images) -> f64 {
        let full = |images: &Images| {
            self.each * f64::from(images.count) + self.unit * f64::from(images.units(self.by))
        };
        match self.low {
            Some(tokens) => full(all) - full(low) + tokens * f64::from(low.count),
            None => full(all),
        }
    }
}

fn tile_512(wide: f64, high: f64) -> u32 {
    let fitted = (2048.0 / wide.max(high)).min(1.0);
    let scale = fitted * (768.0 / (fitted * wide.min(high))).min(1.0);
    squares(wide * scale, high * scale, 512.0)
}

fn tile_768(wide: f64, high: f64) -> u32 {
    if wide <= 384.0 && high <= 384.0 {
        return 1;
    }
    squares(wide, high, (wide.min(high) / 1.5).floor().clamp(256.0, 768.0))
}

/// Squares of `edge`; if they were more than `most`, the picture is scaled so that whole squares fit.
fn patches(wide: f64, high: f64, (edge, most, long): (f64, f64, f64)) -> u32 {
    let fitted = (long / wide.max(high)).min(1.0);
    let (wide, high) = (wide * fitted, high * fitted);
    let found = squares(wide, high, edge);
    if f64::from(found) <= most {
        return found;
    }
    let scale = (edge * edge * most / (wide * high)).sqrt();
    let whole = |side: f64| (side * scale / edge).floor().max(1.0) / (side * scale / edge);
    let scale = scale * whole(wide).min(whole(high));
    f64::from(squares(wide * scale, high * scale, edge)).min(most) as u32
}

fn squares(wide: f64, high: f64, edge: f64) -> u32 {
    // A side that was scaled to a whole number of edges is not one more by its last binary digit.
    let along = |side: f64| (side / edge - 1e-6).ceil().max(1.0);
    (along(wide) * along(high)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(width: u32, height: u32) -> Images {
        let mut images = Images::default();
        images.add(width, height);
        images
    }

    fn counting(by: ImageUnit, each: f64, unit: f64) -> ImageCounting {
        ImageCounting { by, each, unit, low: Some(85.0) }
    }

    #[test]
    fn the_examples_of_the_providers_own_pages() {
        let none = Images::default();
        let tiles = |w, h| counting(ImageUnit::Tile512, 85.0, 170.0).tokens(&images(w, h), &none);
        assert_eq!((tiles(1024, 1024), tiles(2048, 4096), tiles(512, 512)), (765.0, 1105.0, 255.0));
        let patches = |w, h| images(w, h).patch_32;
        assert_eq!((patches(1024, 1024), patches(1800, 2400)), (1024, 1452));
        assert_eq!((images(384, 384).tile_768, images(960, 540).tile_768), (1, 6));
    }

    /// Measured by others at ten sizes (huggingface.co/datasets/JOHNISKING/image-token-cost, 2026), less the
    /// text of their prompts (65 tokens and 77).
    #[test]
    fn measured_counts_are_met_within_five_percent() {
        for (w, h, standard, large, patches) in [
            (256, 256, 100.0, 100.0, 64.0),
            (512, 512, 361.0, 361.0, 256.0),
            (768, 768, 784.0, 784.0, 576.0),
            (1024, 1024, 1369.0, 1369.0, 1024.0),
            (1280, 720, 1196.0, 1196.0, 920.0),
            (1920, 1080, 1560.0, 2691.0, 2040.0),
            (2560, 1440, 1592.0, f64::NAN, 3600.0),
            (3840, 2160, 1592.0, f64::NAN, 8160.0),
            (4032, 3024, 1596.0, f64::NAN, 9890.0),
        ] {
            let found = images(w, h);
            for (units, wanted) in
                [(found.patch_28, standard), (found.patch_28_large, large), (found.patch_32_large, patches)]
            {
                let off = f64::from(units) / wanted - 1.0;
                assert!(wanted.is_nan() || off.abs() < 0.06, "{w} x {h}: {units}, measured {wanted}");
            }
        }
    }

    #[test]
    fn low_detail_costs_the_same_at_any_size_where_there_is_such_a_thing() {
        let (mut all, mut low) = (images(4096, 4096), Images::default());
        all.add(2048, 2048);
        low.add(4096, 4096);
        let tiles = counting(ImageUnit::Tile512, 85.0, 170.0);

        assert_eq!(tiles.tokens(&all, &low), 85.0 + 765.0);
        assert_eq!(ImageCounting { low: None, ..tiles }.tokens(&all, &low), 2.0 * 765.0);
    }
}
