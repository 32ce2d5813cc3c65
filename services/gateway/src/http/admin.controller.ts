import {
  Body,
  Controller,
  Delete,
  Get,
  Inject,
  Param,
  Patch,
  Post,
  UseGuards,
} from '@nestjs/common';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { AdminGuard } from './admin.guard.ts';
import {
  CreateKeyBody,
  CreateTenantBody,
  parseBody,
  RotateKeyBody,
  UpdateTenantBody,
} from './admin-bodies.ts';
import { keyView, listView, newKeyView, tenantView } from './admin-views.ts';

type Json = Readonly<Record<string, unknown>>;

/** Tenants and keys for operators; see docs/http.md. */
@Controller('/admin/v1')
@UseGuards(AdminGuard)
export class AdminController {
  readonly #store: TenantStore;

  constructor(@Inject(TenantStore) store: TenantStore) {
    this.#store = store;
  }

  @Post('/tenants')
  async createTenant(@Body() body: unknown): Promise<Json> {
    const { id, ...fields } = parseBody(CreateTenantBody, body);
    return tenantView(await this.#store.createTenant(id, given(fields)));
  }

  @Get('/tenants')
  async listTenants(): Promise<Json> {
    return listView('tenants', await this.#store.listTenants(), tenantView);
  }

  @Get('/tenants/:id')
  async getTenant(@Param('id') id: string): Promise<Json> {
    return tenantView(await this.#store.getTenant(id));
  }

  @Patch('/tenants/:id')
  async updateTenant(@Param('id') id: string, @Body() body: unknown): Promise<Json> {
    const fields = parseBody(UpdateTenantBody, body);
    return tenantView(await this.#store.updateTenant(id, given(fields)));
  }

  @Delete('/tenants/:id')
  async deleteTenant(@Param('id') id: string): Promise<Json> {
    const { tenant, revokedKeys } = await this.#store.deleteTenant(id);
    return { ...tenantView(tenant), revoked_keys: revokedKeys };
  }

  @Post('/tenants/:id/keys')
  async createKey(@Param('id') tenantId: string, @Body() body: unknown): Promise<Json> {
    const { expires_in_s: expiresInS, ...fields } = parseBody(CreateKeyBody, body);
    return newKeyView(await this.#store.createKey(tenantId, given({ ...fields, expiresInS })));
  }

  @Get('/tenants/:id/keys')
  async listKeys(@Param('id') tenantId: string): Promise<Json> {
    return listView('keys', await this.#store.listKeys(tenantId), keyView);
  }

  @Post('/keys/:id/rotate')
  async rotateKey(@Param('id') keyId: string, @Body() body: unknown): Promise<Json> {
    const { overlap_s: overlapS } = parseBody(RotateKeyBody, body);
    return newKeyView(await this.#store.rotateKey(keyId, overlapS));
  }

  @Delete('/keys/:id')
  async revokeKey(@Param('id') keyId: string): Promise<Json> {
    return keyView(await this.#store.revokeKey(keyId));
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that were left out. */
function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Given<T>;
}
